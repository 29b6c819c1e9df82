//! Whatever arrives in a queue is an event or is refused; nothing breaks, and what is an event is written as it was read.

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared_events::envelope::Envelope;
use shared_events::events::{PaymentCancel, PaymentCreate, PaymentProcessed};
use uuid::Uuid;

const FIELDS: [&str; 9] =
    ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "traceparent"];
const DATA_FIELDS: [&str; 9] =
    ["orderId", "paymentId", "createdBy", "bill", "currency", "status", "version", "declineCode", "reason"];

/// Anything that JSON can say, and often what an event has in that place.
fn any_value() -> impl Strategy<Value = Value> {
    let words = ["USD", "XXX", "paid", "refunded", "user", "expired", "1.0", "2026-11-23T01:48:15Z"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        any::<u128>().prop_map(|id| json!(Uuid::from_u128(id))),
        proptest::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-zA-Z]{1,8}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

/// All that any event has.
fn good() -> Value {
    json!({
        "specversion": "1.0", "id": Uuid::nil(), "source": "/orders-service", "type": "payment-create-event",
        "subject": Uuid::nil(), "time": "2026-11-23T01:48:15Z", "datacontenttype": "application/json",
        "dataschema": "/schemas/payment-create-event/1", "traceparent": "00-1-1-00",
        "data": {
            "orderId": Uuid::nil(), "paymentId": Uuid::nil(), "createdBy": "u", "bill": 1, "currency": "USD",
            "status": "paid", "version": 1, "declineCode": "x", "reason": "user",
        },
    })
}

/// What is read can be written, and read again as the same.
fn assert_read_and_written<Event>(bytes: &[u8])
where
    Event: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug,
{
    let Ok(event) = serde_json::from_slice::<Envelope<Event>>(bytes) else { return };
    let written = serde_json::to_vec(&event).expect("an event can be written");
    assert_eq!(serde_json::from_slice::<Envelope<Event>>(&written).expect("it can be read again"), event);
}

fn assert_all(bytes: &[u8]) {
    assert_read_and_written::<PaymentCreate>(bytes);
    assert_read_and_written::<PaymentCancel>(bytes);
    assert_read_and_written::<PaymentProcessed>(bytes);
}

#[test]
fn what_the_others_are_made_of_is_an_event_of_every_kind() {
    let bytes = good().to_string().into_bytes();
    assert!(serde_json::from_slice::<Envelope<PaymentCreate>>(&bytes).is_ok());
    assert!(serde_json::from_slice::<Envelope<PaymentCancel>>(&bytes).is_ok());
    assert!(serde_json::from_slice::<Envelope<PaymentProcessed>>(&bytes).is_ok());
}

proptest! {
    #[test]
    fn an_event_with_anything_in_one_place_is_read_or_refused(
        field in proptest::sample::select([&FIELDS[..], &DATA_FIELDS].concat()),
        value in proptest::option::of(any_value()),
    ) {
        let mut event = good();
        let place = if FIELDS.contains(&field) { &mut event } else { &mut event["data"] };
        let fields = place.as_object_mut().expect("an object");
        match value {
            Some(value) => fields.insert(field.to_owned(), value),
            None => fields.remove(field),
        };
        assert_all(event.to_string().as_bytes());
    }

    #[test]
    fn bytes_and_json_of_any_kind_are_refused_and_break_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        value in any_value(),
    ) {
        assert_all(&bytes);
        assert_all(value.to_string().as_bytes());
    }
}
