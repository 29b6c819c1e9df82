//! `asyncapi.json`: what the services say to each other over RabbitMQ.

use serde_json::{Map, Value, json};
use shared_events::envelope::{BATCH_CONTENT_TYPE, CONTENT_TYPE};
use shared_events::receipt::Receipt;
use shared_events::topology::{DELIVERY_LIMIT, Topology};
use utoipa::PartialSchema;

use crate::events::Described;

/// The version of the AMQP bindings.
const BINDING: &str = "0.3.0";
/// AMQP's delivery mode for what is to be on disk.
const PERSISTENT: u8 = 2;

/// The document of these events.
pub fn document(events: &[Described]) -> Value {
    let topology = Topology::default();
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Order processing: the events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": {"name": "MIT"},
            "tags": [{"name": "orders-service"}, {"name": "payments-service"}],
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"rabbitmq": {
            "host": "rabbitmq:5672",
            "pathname": "/",
            "protocol": "amqp",
            "protocolVersion": "0-9-1",
            "description": "RabbitMQ 3.10 or newer, as the setting `AMQP_URL` names it. With `AMQP_PREFIX`, the names of all exchanges and queues begin with that.",
            "security": [{"$ref": "#/components/securitySchemes/login"}],
        }},
        "channels": {},
        "operations": {},
        "components": {
            "securitySchemes": {"login": {"type": "userPassword", "description": "The login of `AMQP_URL`."}},
            "messages": {"Receipt": receipt()},
            "schemas": {"Receipt": Receipt::schema()},
        },
    });
    for event in events {
        describe(event, &topology, &mut document);
    }
    document
}

const INTRODUCTION: &str = "\
Events are CloudEvents 1.0 in structured JSON mode, or several in one message in its batch mode. Each kind is published to one topic exchange with its name as the routing \
key, and each has one durable quorum queue of the same name.

**Any event may come twice, late, or in another order.** Consumers change nothing twice: an order has one payment, and \
the `version` of a payment tells news from what is known. A publisher keeps an event until the consumer's receipt says \
that it is done with it, and publishes it again until then, with the same `id`.

A field is only ever added; a consumer ignores what it does not know; a change that breaks a reader is a new event with \
a new name. The schema of `data` alone is where `dataschema` says.";

fn receipt() -> Value {
    json!({
        "name": "Receipt",
        "title": "The consumer is done with these events",
        "contentType": "application/json",
        "payload": {"$ref": "#/components/schemas/Receipt"},
        "examples": [{"name": "two", "payload": {
            "settled": ["01a20616-ee70-7a4e-8d0b-3f1f6c1f7a10", "01a20616-f0d1-7c55-bb0e-58f0e6a3c0de"],
        }}],
    })
}

fn describe(event: &Described, topology: &Topology, document: &mut Value) {
    let (name, queue, receipts) = (event.name, topology.queue(event.name), topology.receipts_queue(event.name));
    let (publisher, consumer) = (event.publisher, event.consumer);
    let examples = event.examples.iter().map(|(name, payload)| json!({"name": name, "payload": payload}));
    let components = &mut document["components"];
    components["messages"][name] = json!({
        "name": name,
        "title": event.title,
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": format!("#/components/schemas/{}", event.schema_name)},
        "bindings": {"amqp": {"messageType": name, "bindingVersion": BINDING}},
        "examples": examples.collect::<Vec<_>>(),
    });
    let batch = format!("{name}.batch");
    components["messages"][&batch] = json!({
        "name": batch,
        "title": format!("Several at once: {}", event.title),
        "summary": "What was there at the same time, in no order; each is what it would be alone. The `message_id` is that of the message.",
        "contentType": BATCH_CONTENT_TYPE,
        "payload": {
            "type": "array",
            "minItems": 1,
            "items": {"$ref": format!("#/components/schemas/{}", event.schema_name)},
        },
        "bindings": {"amqp": {"messageType": name, "bindingVersion": BINDING}},
        "examples": [{"name": "all", "payload": event.examples.iter().map(|(_, payload)| payload).collect::<Vec<_>>()}],
    });
    for (name, schema) in &event.schemas {
        components["schemas"][name] = schema.clone();
    }
    let dead_letters = format!(
        "Delivered at most {DELIVERY_LIMIT} times, then led through `{}` to `{}`, from where the {consumer} parks it for an operator.",
        topology.dead_letter_exchange(),
        topology.dead_queue(name),
    );
    let (events, receipt) = ([name, batch.as_str()], ["Receipt"]);
    let published = (name.to_owned(), name, "Where the event is published", String::new(), &events[..]);
    let consumed = (format!("{name}.queue"), queue.as_str(), "Where the event is consumed", dead_letters, &events[..]);
    for ((channel, address, title, description, messages), bindings) in [
        (published, by_routing_key(topology)),
        (consumed, by_queue(&queue)),
        (
            (
                receipts.clone(),
                receipts.as_str(),
                "Where its publisher hears that it is settled",
                String::new(),
                &receipt[..],
            ),
            by_queue(&receipts),
        ),
    ] {
        let reference =
            |message: &&str| ((*message).to_owned(), json!({"$ref": format!("#/components/messages/{message}")}));
        document["channels"][&channel] = json!({
            "address": address,
            "title": title,
            "description": description,
            "servers": [{"$ref": "#/servers/rabbitmq"}],
            "messages": messages.iter().map(reference).collect::<Map<_, _>>(),
            "bindings": {"amqp": bindings},
        });
    }
    let persistent = json!({"deliveryMode": PERSISTENT, "mandatory": true, "bindingVersion": BINDING});
    let transient = json!({"bindingVersion": BINDING});
    let acknowledged = json!({"ack": true, "bindingVersion": BINDING});
    let announces = format!("{}. Published once it is committed, and again until its receipt comes.", event.title);
    let learns =
        "What is known already changes nothing; acknowledged once what follows from it is committed.".to_owned();
    let settles = "Names the events that are committed or parked here, so that nobody publishes them again.".to_owned();
    let forgets = "Deletes the events from the outbox.".to_owned();
    for (action, service, channel, messages, bindings, description) in [
        ("send", publisher, name, &events[..], &persistent, announces),
        ("receive", consumer, &format!("{name}.queue"), &events[..], &acknowledged, learns),
        ("send", consumer, &receipts, &receipt[..], &transient, settles),
        ("receive", publisher, &receipts, &receipt[..], &acknowledged, forgets),
    ] {
        let verb = if action == "send" { "sends" } else { "receives" };
        let channel = format!("#/channels/{channel}");
        let reference = |message: &&str| json!({"$ref": format!("{channel}/messages/{message}")});
        document["operations"][format!("{service}.{verb}.{}", channel.trim_start_matches("#/channels/"))] = json!({
            "action": action,
            "title": format!("The {service} {verb} it"),
            "description": description,
            "tags": [{"name": service}],
            "channel": {"$ref": channel},
            "messages": messages.iter().map(reference).collect::<Vec<_>>(),
            "bindings": {"amqp": bindings},
        });
    }
}

fn by_routing_key(topology: &Topology) -> Value {
    json!({
        "is": "routingKey",
        "exchange": {"name": topology.exchange(), "type": "topic", "durable": true, "autoDelete": false, "vhost": "/"},
        "bindingVersion": BINDING,
    })
}

fn by_queue(name: &str) -> Value {
    json!({
        "is": "queue",
        "queue": {"name": name, "durable": true, "exclusive": false, "autoDelete": false, "vhost": "/"},
        "bindingVersion": BINDING,
    })
}

/// The schemas of the document.
pub fn schemas(document: &Value) -> Option<&Map<String, Value>> {
    document["components"]["schemas"].as_object()
}
