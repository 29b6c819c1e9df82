//! Messages as they come from a queue: what they said, without the broker's side of it.

use anyhow::bail;
use axum::body::Bytes;
use futures_util::{FutureExt, StreamExt};
use lapin::Consumer;
use lapin::message::Delivery;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::replay;

/// What a message said.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// What AMQP calls `message_id`; of one that came in a batch, the event's id.
    pub(crate) message_id: Option<String>,
    pub(crate) body: Bytes,
    /// The row of `parked` that it was replayed from.
    pub(crate) replay_of: Option<i64>,
}

/// What the log needs of an event that could not be applied, as far as it can be read.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Label {
    /// The order.
    pub(crate) subject: Option<Uuid>,
    pub(crate) traceparent: Option<String>,
}

impl Received {
    pub(crate) fn label(&self) -> Label {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The id of the event, if it has one.
    pub(crate) fn event_id(&self) -> Option<Uuid> {
        self.message_id.as_deref()?.parse().ok()
    }
}

/// What is settled together.
pub(crate) struct Batch {
    pub(crate) messages: Vec<Received>,
    /// The tag of the last delivery: to acknowledge it, and all before, is to acknowledge the batch.
    pub(crate) last_tag: u64,
}

/// Waits for one delivery and takes along what has already arrived behind it, until `limit` messages are there.
pub(crate) async fn next_batch(deliveries: &mut Consumer, limit: usize) -> anyhow::Result<Batch> {
    let Some(first) = deliveries.next().await else { bail!("the broker ended the subscription") };
    let first = first?;
    let mut batch = Batch { last_tag: first.delivery_tag, messages: unpack(first) };
    while batch.messages.len() < limit
        && let Some(Some(Ok(delivery))) = deliveries.next().now_or_never()
    {
        batch.last_tag = delivery.delivery_tag;
        batch.messages.extend(unpack(delivery));
    }
    Ok(batch)
}

/// The events that came in one delivery, each as a message of its own, so that one which cannot be applied is parked
/// alone. Whatever is no batch of events stays one message.
fn unpack(delivery: Delivery) -> Vec<Received> {
    let replay_of = replay::row_of(&delivery.properties);
    let message_id = delivery.properties.message_id().as_ref().map(ToString::to_string);
    let body = Bytes::from(delivery.data);
    // What is replayed was one message when it was parked, and its row can become only one again.
    if replay_of.is_none()
        && let Ok(events) = serde_json::from_slice::<Vec<&RawValue>>(&body)
        && !events.is_empty()
    {
        return events.into_iter().map(|event| of_batch(body.slice_ref(event.get().as_bytes()))).collect();
    }
    vec![Received { message_id, body, replay_of }]
}

fn of_batch(event: Bytes) -> Received {
    #[derive(Deserialize)]
    struct Identified {
        id: String,
    }

    let message_id = serde_json::from_slice(&event).ok().map(|Identified { id }| id);
    Received { message_id, body: event, replay_of: None }
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn delivery(body: impl Into<Vec<u8>>) -> Delivery {
        let mut delivery = Delivery::mock(1, "".into(), "".into(), false, body.into());
        delivery.properties = BasicProperties::default().with_message_id("its-id".into());
        delivery
    }

    #[track_caller]
    fn assert_unpacked(delivery: Delivery, expected: &[(Option<&str>, &str)]) {
        let messages = unpack(delivery);
        let unpacked: Vec<_> = messages
            .iter()
            .map(|message| (message.message_id.as_deref(), str::from_utf8(&message.body).expect("text")))
            .collect();
        assert_eq!(unpacked, expected);
    }

    #[test]
    fn an_event_that_makes_no_sense_is_labelled_as_far_as_it_can_be_read() {
        let label = |body: &str| of_batch(Bytes::copy_from_slice(body.as_bytes())).label();
        let order = Uuid::now_v7();
        let subject = format!(r#"{{"subject": "{order}", "data": 7}}"#);
        assert_eq!(label(&subject), Label { subject: Some(order), traceparent: None });
        assert_eq!(label(r#"{"subject": "nobody"}"#), Label::default());
        assert_eq!(label("nonsense"), Label::default());
    }

    #[test]
    fn a_lone_event_keeps_the_id_of_its_message() {
        assert_unpacked(delivery(r#"{"id": "a"}"#), &[(Some("its-id"), r#"{"id": "a"}"#)]);
    }

    #[test]
    fn the_events_of_a_batch_become_messages_with_ids_of_their_own() {
        let batch = delivery(r#"[{"id": "a", "data": [1]}, {"id": 2}, 3]"#);
        assert_unpacked(batch, &[(Some("a"), r#"{"id": "a", "data": [1]}"#), (None, r#"{"id": 2}"#), (None, "3")]);
    }

    #[test]
    fn what_is_no_batch_of_events_stays_whole() {
        for body in ["[]", "[1", "no JSON", ""] {
            assert_unpacked(delivery(body), &[(Some("its-id"), body)]);
        }
    }

    #[test]
    fn what_is_replayed_stays_whole() {
        let mut replayed = delivery("[1, 2]");
        replayed.properties = replay::properties(None, 7);
        assert_unpacked(replayed, &[(None, "[1, 2]")]);
    }

    proptest! {
        #[test]
        fn nothing_of_a_delivery_is_lost(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            json in "\\[?(\\{\"id\": ?(\"[a-c]\"|[0-9]|null)\\}|[0-9]{1,3}|,| ){0,5}\\]?",
        ) {
            for body in [bytes, json.into_bytes()] {
                let messages = unpack(delivery(body.clone()));
                match serde_json::from_slice::<Vec<Value>>(&body) {
                    Ok(events) if !events.is_empty() => {
                        let unpacked = messages.iter().map(|message| serde_json::from_slice(&message.body));
                        prop_assert_eq!(unpacked.collect::<Result<Vec<Value>, _>>().expect("JSON"), events);
                    }
                    _ => prop_assert_eq!(messages.into_iter().map(|message| message.body).collect::<Vec<_>>(), [body]),
                }
            }
        }
    }
}
