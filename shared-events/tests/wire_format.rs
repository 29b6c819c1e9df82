//! Every event against its literal JSON: what is on the wire changes only on purpose.

use serde_json::{Value, json};
use shared_events::envelope::{self, Envelope, SpecVersion};
use shared_events::events::{CancelReason, Event, PaymentCancel, PaymentCreate, PaymentProcessed, ProcessedStatus};
use shared_events::ids::{OrderId, PaymentId, UserId};
use shared_events::money::{Currency, MinorUnits};
use uuid::{Uuid, uuid};

const ORDER: Uuid = uuid!("0197f1c2-7b1e-7c3a-9d41-2f0f6f1f7a10");
const PAYMENT: Uuid = uuid!("0197f1c2-9a00-7000-8000-000000000001");

#[track_caller]
fn assert_wire_format<T: Event + PartialEq + std::fmt::Debug>(event: &T, wire: Value) {
    assert_eq!(serde_json::to_value(event).expect("an event serializes"), wire);
    assert_eq!(&serde_json::from_value::<T>(wire).expect("its JSON parses"), event);
}

fn payment_create() -> PaymentCreate {
    PaymentCreate {
        order_id: OrderId(ORDER),
        created_by: UserId("somerandomuserid".to_owned()),
        bill: MinorUnits(62_243),
        currency: Currency::DEFAULT,
    }
}

fn payment_processed(status: ProcessedStatus, decline_code: Option<&str>) -> PaymentProcessed {
    PaymentProcessed {
        order_id: OrderId(ORDER),
        payment_id: PaymentId(PAYMENT),
        status,
        version: 3,
        bill: MinorUnits(62_243),
        currency: Currency::DEFAULT,
        decline_code: decline_code.map(str::to_owned),
    }
}

#[test]
fn payment_create_event() {
    assert_eq!(PaymentCreate::NAME, "payment-create-event");
    assert_wire_format(
        &payment_create(),
        json!({"orderId": ORDER, "createdBy": "somerandomuserid", "bill": 62243, "currency": "USD"}),
    );
}

#[test]
fn payment_cancel_event() {
    assert_eq!(PaymentCancel::NAME, "payment-cancel-event");
    for (reason, wire) in [(CancelReason::User, "user"), (CancelReason::Expired, "expired")] {
        assert_wire_format(
            &PaymentCancel { order_id: OrderId(ORDER), reason },
            json!({"orderId": ORDER, "reason": wire}),
        );
    }
}

#[test]
fn payment_processed_event() {
    assert_eq!(PaymentProcessed::NAME, "payment-processed-event");
    for (status, wire) in [
        (ProcessedStatus::Paid, "paid"),
        (ProcessedStatus::Cancelled, "cancelled"),
        (ProcessedStatus::Refunded, "refunded"),
    ] {
        assert_wire_format(
            &payment_processed(status, None),
            json!({"orderId": ORDER, "paymentId": PAYMENT, "status": wire, "version": 3, "bill": 62243, "currency": "USD"}),
        );
    }
    assert_wire_format(
        &payment_processed(ProcessedStatus::Declined, Some("insufficient_funds")),
        json!({"orderId": ORDER, "paymentId": PAYMENT, "status": "declined", "version": 3, "bill": 62243,
               "currency": "USD", "declineCode": "insufficient_funds"}),
    );
}

#[test]
fn the_envelope_is_a_cloud_event() {
    let event = payment_create();
    let envelope = Envelope {
        specversion: SpecVersion::V1,
        id: PAYMENT,
        source: "/orders-service".to_owned(),
        event: PaymentCreate::NAME.to_owned(),
        subject: event.order_id(),
        time: "2026-01-01T10:00:00Z".parse().expect("a time"),
        datacontenttype: "application/json".to_owned(),
        dataschema: envelope::data_schema(PaymentCreate::NAME),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        data: event,
    };
    let wire = json!({
        "specversion": "1.0",
        "id": PAYMENT,
        "source": "/orders-service",
        "type": "payment-create-event",
        "subject": ORDER,
        "time": "2026-01-01T10:00:00Z",
        "datacontenttype": "application/json",
        "dataschema": "/schemas/payment-create-event/1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": {"orderId": ORDER, "createdBy": "somerandomuserid", "bill": 62243, "currency": "USD"},
    });
    assert_eq!(serde_json::to_value(&envelope).expect("serializes"), wire);
    assert_eq!(serde_json::from_value::<Envelope<PaymentCreate>>(wire).expect("parses"), envelope);
}

#[test]
fn a_reader_ignores_fields_that_it_does_not_know() {
    let newer = json!({"orderId": ORDER, "createdBy": "somerandomuserid", "bill": 62243, "currency": "USD",
                       "loyaltyPoints": 7});
    assert_eq!(serde_json::from_value::<PaymentCreate>(newer).expect("parses"), payment_create());
}

#[test]
fn an_event_that_lacks_what_money_needs_is_refused() {
    for broken in [
        json!({}),
        json!({"orderId": ORDER, "createdBy": "u", "currency": "USD"}),
        json!({"orderId": ORDER, "createdBy": "u", "bill": 1.5, "currency": "USD"}),
        json!({"orderId": ORDER, "createdBy": "u", "bill": 1, "currency": "usd"}),
        json!({"orderId": "7", "createdBy": "u", "bill": 1, "currency": "USD"}),
    ] {
        assert!(serde_json::from_value::<PaymentCreate>(broken.clone()).is_err(), "{broken} must be refused");
    }
}
