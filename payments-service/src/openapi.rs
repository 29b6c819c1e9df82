//! What the routes of the payments take and answer, for the document of the API. Every example is tried by the tests.

use axum::http::StatusCode;
use serde_json::{Value, json};
use service_kit::openapi::{Content, Description, Operation, Webhooks};
use service_kit::problem_types::{IDEMPOTENCY_KEY_IN_USE, SERVICE_UNAVAILABLE};
use shared_events::ids::OrderId;

use crate::card::PayWithCard;
use crate::http::described_routes;
use crate::payment::PaymentStatus;
use crate::problems::{CARD_DECLINED, PAYMENT_ALREADY_PAID, PAYMENT_CANCELLED, PAYMENT_IN_PROGRESS, PAYMENT_NOT_FOUND};
use crate::shown::ShownPayment;

/// The routes of this service, described.
pub fn description() -> Description {
    let operations =
        vec![("listPayments", list_payments()), ("findPayment", find_payment()), ("payOrder", pay_order())];
    Description { routes: described_routes().into_openapi(), operations, webhooks: Webhooks::default() }
}

fn list_payments() -> Operation {
    let payments = Content::page::<ShownPayment>(&json!([paid()]));
    Operation::new().pages::<PaymentStatus>().answers(StatusCode::OK, "A page of your payments.", payments, &["Link"])
}

fn find_payment() -> Operation {
    let content = Content::one::<ShownPayment>(&paid());
    of_one_order().conditional().answers(StatusCode::OK, "The payment.", content, &["ETag"])
}

fn pay_order() -> Operation {
    let card = |number: &str, cvt: Value, expiry: &str| json!({"creditCardDetails": {"number": number, "cvt": cvt, "expiry": expiry}});
    let mut processing = paid();
    processing["status"] = "processing".into();
    processing["processed"] = false.into();
    processing["version"] = 2.into();
    let (paid, processing) = (Content::one::<ShownPayment>(&paid()), Content::one::<ShownPayment>(&processing));
    of_one_order()
        .idempotent()
        .body::<PayWithCard>(&[
            ("sample", card("10298310928301", json!(345), "4/12/2020")),
            ("approved", card("4242 4242 4242 4242", json!("345"), "12/30")),
            ("declined", card("4000000000009995", json!("345"), "12/2030")),
            ("answerLost", card("4000000000006108", json!("345"), "12/2030")),
        ])
        .answers(StatusCode::OK, "The card was charged.", paid, &["ETag", "Idempotent-Replayed"])
        .answers(
            StatusCode::ACCEPTED,
            "The card processor has not said whether the card was charged: look at `Location` in a moment.",
            processing,
            &["Location", "ETag", "Idempotent-Replayed"],
        )
        .refuses_with(
            &CARD_DECLINED,
            "declineCode",
            json!({"type": "string", "description": "Why the card was declined, as `declineCode` of the payment says it."}),
            json!("insufficient_funds"),
        )
        .refuses(&[&PAYMENT_CANCELLED, &PAYMENT_ALREADY_PAID, &PAYMENT_IN_PROGRESS, &IDEMPOTENCY_KEY_IN_USE])
        .repeats(&[&CARD_DECLINED, &PAYMENT_CANCELLED, &SERVICE_UNAVAILABLE])
}

fn of_one_order() -> Operation {
    Operation::new().id::<OrderId>("orderId", "The order.").refuses(&[&PAYMENT_NOT_FOUND])
}

fn paid() -> Value {
    json!({
        "id": "01a20616-f102-7d10-a0f5-6a3a0d6ec1a4",
        "orderId": "01a20616-ee6f-759c-9ca9-709cba7d9bcf",
        "status": "paid",
        "processed": true,
        "bill": 62243,
        "currency": "USD",
        "card": {"brand": "unknown", "last4": "8301", "expMonth": 12, "expYear": 2020},
        "attempts": 1,
        "declineCode": null,
        "createdBy": "somerandomuserid",
        "version": 3,
        "createdAt": "2026-11-23T01:48:16.101113Z",
        "updatedAt": "2026-11-23T01:48:16.388210Z",
    })
}
