//! How events travel: one as a message of its own; several of one kind, that are there at the same time, in one message.
//!
//! What a message costs a quorum queue hardly depends on its size, so under load most of what the broker does is saved.

use std::collections::BTreeMap;

use lapin::BasicProperties;
use shared_events::envelope;
use uuid::Uuid;

use crate::message::Message;

/// AMQP's delivery mode for what is to be on disk.
pub(crate) const PERSISTENT: u8 = 2;
/// How many events travel together.
const EVENTS: usize = 256;

/// A message for the broker.
pub(crate) struct Parcel<'a> {
    /// The AMQP `message_id`: that of the event if it travels alone.
    pub(crate) id: Uuid,
    /// The name of its events, which is the routing key.
    pub(crate) event: &'a str,
    pub(crate) messages: Vec<&'a Message>,
}

/// Packs events into as few messages as they need.
pub(crate) fn pack(messages: &[Message]) -> Vec<Parcel<'_>> {
    let mut by_event: BTreeMap<&str, Vec<&Message>> = BTreeMap::new();
    for message in messages {
        by_event.entry(&message.event).or_default().push(message);
    }
    let parcels = by_event.into_iter().flat_map(|(event, messages)| {
        let parcels = messages.chunks(EVENTS).map(|messages| Parcel::new(event, messages.to_vec()));
        parcels.collect::<Vec<_>>()
    });
    parcels.collect()
}

impl<'a> Parcel<'a> {
    fn new(event: &'a str, messages: Vec<&'a Message>) -> Self {
        let id = if let [message] = messages[..] { message.id } else { Uuid::now_v7() };
        Self { id, event, messages }
    }

    /// The body that is published.
    pub(crate) fn body(&self, source: &str) -> serde_json::Result<Vec<u8>> {
        match self.messages[..] {
            [message] => serde_json::to_vec(&message.envelope(source)),
            _ => serde_json::to_vec(&self.messages.iter().map(|message| message.envelope(source)).collect::<Vec<_>>()),
        }
    }

    /// The AMQP properties that go with it.
    pub(crate) fn properties(&self) -> BasicProperties {
        let content_type = if self.messages.len() == 1 { envelope::CONTENT_TYPE } else { envelope::BATCH_CONTENT_TYPE };
        let newest = self.messages.iter().map(|message| message.time()).max().unwrap_or_default();
        BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(content_type.into())
            .with_message_id(self.id.to_string().into())
            .with_type(self.event.into())
            .with_timestamp(newest.timestamp().cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use shared_events::events::{CancelReason, Event, PaymentCancel, PaymentCreate};
    use shared_events::ids::{OrderId, UserId};
    use shared_events::money::{Currency, MinorUnits};

    use super::*;

    fn create() -> Message {
        let (created_by, bill) = (UserId("somerandomuserid".to_owned()), MinorUnits(1));
        let order_id = OrderId::generate();
        Message::of(Uuid::now_v7(), &PaymentCreate { order_id, created_by, bill, currency: Currency::DEFAULT }, None)
    }

    fn cancel() -> Message {
        Message::of(Uuid::now_v7(), &PaymentCancel { order_id: OrderId::generate(), reason: CancelReason::User }, None)
    }

    #[test]
    fn a_lone_event_is_its_own_message() {
        let messages = [create()];
        let [parcel] = &pack(&messages)[..] else { panic!("one parcel") };
        assert_eq!(parcel.id, messages[0].id);
        let body: Value = serde_json::from_slice(&parcel.body("/a-service").expect("a body")).expect("JSON");
        assert_eq!(body["id"], messages[0].id.to_string());
        let content_type = parcel.properties().content_type().as_ref().map(ToString::to_string);
        assert_eq!(content_type.as_deref(), Some("application/cloudevents+json"));
    }

    #[test]
    fn events_travel_with_others_of_their_kind_only_and_with_so_many_at_most() {
        let mut messages: Vec<Message> = (0..=EVENTS).map(|_| create()).collect();
        messages.insert(1, cancel());
        let parcels = pack(&messages);
        let sizes: Vec<_> = parcels.iter().map(|parcel| (parcel.event, parcel.messages.len())).collect();
        assert_eq!(sizes, [(PaymentCancel::NAME, 1), (PaymentCreate::NAME, EVENTS), (PaymentCreate::NAME, 1)]);
    }

    #[test]
    fn a_batch_has_an_id_of_its_own_and_every_event_in_order() {
        let messages = [create(), create()];
        let [parcel] = &pack(&messages)[..] else { panic!("one parcel") };
        assert!(messages.iter().all(|message| message.id != parcel.id));
        let body: Vec<Value> = serde_json::from_slice(&parcel.body("/a-service").expect("a body")).expect("JSON");
        let ids: Vec<_> = body.iter().map(|event| event["id"].as_str().map(str::to_owned)).collect();
        assert_eq!(ids, messages.each_ref().map(|message| Some(message.id.to_string())));
        let content_type = parcel.properties().content_type().as_ref().map(ToString::to_string);
        assert_eq!(content_type.as_deref(), Some("application/cloudevents-batch+json"));
    }
}
