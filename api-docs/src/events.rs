//! The events: the schema of each, and examples made of the real types.

use serde_json::{Map, Value, json};
use shared_events::envelope::{self, CONTENT_TYPE, Envelope, SpecVersion};
use shared_events::events::{CancelReason, Event, PaymentCancel, PaymentCreate, PaymentProcessed, ProcessedStatus};
use shared_events::ids::{OrderId, PaymentId, UserId};
use shared_events::money::{Currency, MinorUnits};
use utoipa::ToSchema;
use uuid::{Uuid, uuid};

const ORDER: OrderId = OrderId(uuid!("01a20616-ee6f-759c-9ca9-709cba7d9bcf"));
const PAYMENT: PaymentId = PaymentId(uuid!("01a20616-f102-7d10-a0f5-6a3a0d6ec1a4"));
const EVENT: Uuid = uuid!("01a20616-ee70-7a4e-8d0b-3f1f6c1f7a10");

/// An event as it is documented.
pub struct Described {
    /// Its name: also that of its routing key and its queue.
    pub name: &'static str,
    /// The service that publishes it.
    pub publisher: &'static str,
    /// The service that consumes it.
    pub consumer: &'static str,
    /// What it says, in a few words.
    pub title: &'static str,
    /// The name of its schema.
    pub schema_name: String,
    /// Its schema and those that this refers to, in the envelope it travels in.
    pub schemas: Map<String, Value>,
    /// Envelopes, each with a name.
    pub examples: Vec<(&'static str, Value)>,
}

/// All of them.
pub fn all() -> Vec<Described> {
    let created = PaymentCreate {
        order_id: ORDER,
        created_by: UserId("somerandomuserid".to_owned()),
        bill: MinorUnits(62_243),
        currency: Currency::DEFAULT,
    };
    let cancelled = |reason| PaymentCancel { order_id: ORDER, reason };
    let processed = |status, version, decline_code: Option<&str>| PaymentProcessed {
        order_id: ORDER,
        payment_id: PAYMENT,
        status,
        version,
        bill: MinorUnits(62_243),
        currency: Currency::DEFAULT,
        decline_code: decline_code.map(str::to_owned),
    };
    vec![
        described("An order was placed: hold a pending payment for it", vec![("placed", created)]),
        described(
            "An order was cancelled: see that no money is kept",
            vec![("byItsOwner", cancelled(CancelReason::User)), ("unpaid", cancelled(CancelReason::Expired))],
        ),
        described(
            "Where a payment stands now",
            vec![
                ("paid", processed(ProcessedStatus::Paid, 3, None)),
                ("declined", processed(ProcessedStatus::Declined, 3, Some("insufficient_funds"))),
                ("cancelled", processed(ProcessedStatus::Cancelled, 2, None)),
                ("refunded", processed(ProcessedStatus::Refunded, 5, None)),
            ],
        ),
    ]
}

fn described<E: Event + ToSchema>(title: &'static str, examples: Vec<(&'static str, E)>) -> Described {
    let is_of_orders = orders_service::EVENTS.contains(&E::NAME);
    let (publisher, consumer) =
        if is_of_orders { ("orders-service", "payments-service") } else { ("payments-service", "orders-service") };
    let source = format!("/{publisher}");
    let schema_name = format!("{}Envelope", E::name());
    let mut referred = vec![(E::name().into_owned(), E::schema())];
    E::schemas(&mut referred);
    <Envelope<E> as ToSchema>::schemas(&mut referred);
    let mut schemas: Map<_, _> = referred.into_iter().map(|(name, schema)| (name, json!(schema))).collect();
    schemas.insert(schema_name.clone(), schema_of_envelope::<E>(&source));
    let examples = examples.into_iter().map(|(name, event)| (name, json!(in_envelope(event, &source)))).collect();
    Described { name: E::NAME, publisher, consumer, title, schema_name, schemas, examples }
}

/// The schema of the envelope, with what is always the same in those of this event.
fn schema_of_envelope<E: Event + ToSchema>(source: &str) -> Value {
    let mut schema = json!(<Envelope<E> as utoipa::PartialSchema>::schema());
    let fixed = [
        ("source", source.to_owned()),
        ("type", E::NAME.to_owned()),
        ("datacontenttype", "application/json".to_owned()),
        ("dataschema", envelope::data_schema(E::NAME)),
    ];
    for (property, value) in fixed {
        schema["properties"][property]["const"] = value.into();
    }
    schema["properties"]["data"] = json!({"$ref": format!("#/components/schemas/{}", E::name())});
    schema["description"] = format!("`{}` as `{CONTENT_TYPE}`.", E::NAME).into();
    schema
}

fn in_envelope<E: Event>(event: E, source: &str) -> Envelope<E> {
    Envelope {
        specversion: SpecVersion::V1,
        id: EVENT,
        source: source.to_owned(),
        event: E::NAME.to_owned(),
        subject: event.order_id(),
        time: "2026-11-23T01:48:15.856Z".parse().expect("RFC 3339"),
        datacontenttype: "application/json".to_owned(),
        dataschema: envelope::data_schema(E::NAME),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        data: event,
    }
}

/// The schema of an event's `data` as a document of its own, which its `dataschema` leads to.
pub fn data_schema<'a>(event: &Described, schemas: impl Iterator<Item = (&'a String, &'a Value)>) -> Value {
    let name = event.schema_name.trim_end_matches("Envelope");
    let others: Map<_, _> = schemas.map(|(name, schema)| (name.clone(), schema.clone())).collect();
    let mut document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": envelope::data_schema(event.name),
        "title": event.name,
    });
    let mut needed = Map::new();
    collect(&others[name], &others, &mut needed);
    for (keyword, value) in others[name].as_object().into_iter().flatten() {
        document[keyword] = value.clone();
    }
    document["$defs"] = needed.into();
    relocate(&mut document);
    document
}

/// Everything that `schema` refers to, and what that refers to.
fn collect(schema: &Value, all: &Map<String, Value>, needed: &mut Map<String, Value>) {
    match schema {
        Value::Object(members) => {
            let name = members.get("$ref").and_then(Value::as_str).and_then(|target| target.rsplit('/').next());
            if let Some((name, schema)) = name.and_then(|name| all.get_key_value(name))
                && needed.insert(name.clone(), schema.clone()).is_none()
            {
                collect(schema, all, needed);
            }
            members.values().for_each(|member| collect(member, all, needed));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, all, needed)),
        _ => {}
    }
}

/// From where a document of an API keeps schemas to where a schema itself does.
fn relocate(schema: &mut Value) {
    match schema {
        Value::Object(members) => members.values_mut().for_each(relocate),
        Value::Array(items) => items.iter_mut().for_each(relocate),
        Value::String(text) => {
            if let Some(name) = text.strip_prefix("#/components/schemas/") {
                *text = format!("#/$defs/{name}");
            }
        }
        _ => {}
    }
}
