//! `payment-processed-event`: once, again, late, out of order, and impossible.

use axum::http::StatusCode;
use serde_json::json;
use shared_events::events::{PaymentProcessed, ProcessedStatus};
use shared_events::ids::OrderId;
use shared_events::money::MinorUnits;
use sqlx::PgPool;

use crate::helpers::{TestApp, processed};

#[sqlx::test(migrations = false)]
async fn a_paid_order_is_confirmed_and_will_be_delivered(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    service.hear(vec![processed(id, 3, ProcessedStatus::Paid)]).await;
    let order = service.get_order(id).await;
    assert_eq!((&order["status"], &order["paymentStatus"]), (&json!("confirmed"), &json!("paid")));
    assert!(order["deliverAt"].is_string());
}

#[sqlx::test(migrations = false)]
async fn a_declined_order_can_still_be_paid(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    service.hear(vec![processed(id, 3, ProcessedStatus::Declined)]).await;
    assert_eq!(service.get_order(id).await["status"], "declined");
    service.hear(vec![processed(id, 5, ProcessedStatus::Paid)]).await;
    assert_eq!(service.get_order(id).await["status"], "confirmed");
    let causes = ["created order_placed", "declined payment_declined", "confirmed payment_paid"];
    assert_eq!(service.history(id).await, causes);
}

#[sqlx::test(migrations = false)]
async fn a_repeated_event_changes_nothing(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    let paid = processed(id, 3, ProcessedStatus::Paid);
    service.hear(vec![paid.clone(), paid.clone()]).await;
    let order = service.get_order(id).await;
    service.hear(vec![paid]).await;
    assert_eq!(service.get_order(id).await, order);
    assert_eq!(order["version"], 2);
}

#[sqlx::test(migrations = false)]
async fn every_order_of_the_same_events_leads_to_the_same_end(database: PgPool) {
    let service = TestApp::start(database).await;
    for order_of_events in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for in_one_batch in [[true], [false]].concat() {
            let id = service.placed_order().await;
            let events = [
                processed(id, 3, ProcessedStatus::Declined),
                processed(id, 5, ProcessedStatus::Declined),
                processed(id, 7, ProcessedStatus::Paid),
            ];
            let shuffled: Vec<PaymentProcessed> = order_of_events.iter().map(|index| events[*index].clone()).collect();
            if in_one_batch {
                service.hear(shuffled).await;
            } else {
                for event in shuffled {
                    service.hear(vec![event]).await;
                }
            }
            let order = service.get_order(id).await;
            let end = (order["status"].as_str(), order["paymentStatus"].as_str());
            assert_eq!(end, (Some("confirmed"), Some("paid")), "{order_of_events:?}");
        }
    }
}

#[sqlx::test(migrations = false)]
async fn money_for_a_cancelled_order_is_sent_back(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    service.delete_order(id).await.expect(StatusCode::OK);
    service.hear(vec![processed(id, 3, ProcessedStatus::Paid)]).await;
    let order = service.get_order(id).await;
    assert_eq!((&order["status"], &order["paymentStatus"]), (&json!("cancelled"), &json!("paid")));
    let cancels = service.outbox(id).await.into_iter().filter(|(event, _)| event == "payment-cancel-event").count();
    assert_eq!(cancels, 2, "the cancel is sent again");

    service.hear(vec![processed(id, 5, ProcessedStatus::Refunded)]).await;
    assert_eq!(service.get_order(id).await["paymentStatus"], "refunded");
}

#[sqlx::test(migrations = false)]
async fn a_cancelled_order_hears_the_same_of_its_payment_in_every_order(database: PgPool) {
    use ProcessedStatus::{Cancelled, Declined, Paid, Refunded};
    let service = TestApp::start(database).await;
    for (earlier, later, end) in [(Paid, Refunded, "refunded"), (Declined, Cancelled, "cancelled")] {
        for order_of_events in [vec![3, 5], vec![5, 3], vec![5, 3, 5, 3], vec![3, 3, 5, 5]] {
            let id = service.placed_order().await;
            service.delete_order(id).await.expect(StatusCode::OK);
            for version in &order_of_events {
                service.hear(vec![processed(id, *version, if *version == 3 { earlier } else { later })]).await;
            }
            let order = service.get_order(id).await;
            let seen = (&order["status"], &order["paymentStatus"]);
            assert_eq!(seen, (&json!("cancelled"), &json!(end)), "{order_of_events:?}");
            let cancels = service.outbox(id).await.into_iter().filter(|(event, _)| event == "payment-cancel-event");
            let again = usize::from(earlier == Paid && order_of_events[0] == 3);
            assert_eq!(cancels.count(), 1 + again, "sent again only if the money was news: {order_of_events:?}");
        }
    }
}

#[sqlx::test(migrations = false)]
async fn an_event_that_contradicts_the_order_is_refused(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    let unknown = processed(OrderId::generate(), 3, ProcessedStatus::Paid);
    let wrong_bill = PaymentProcessed { bill: MinorUnits(1), ..processed(id, 3, ProcessedStatus::Paid) };
    let refused = service.hear(vec![unknown, wrong_bill, processed(id, 3, ProcessedStatus::Declined)]).await;
    assert_eq!(refused, ["impossible: there is no such order", "impossible: the order has another bill"]);
    assert_eq!(service.get_order(id).await["status"], "declined", "the others of the batch are applied");
}

#[sqlx::test(migrations = false)]
async fn a_cancel_and_a_payment_at_once_end_in_one_state(database: PgPool) {
    let service = TestApp::start(database).await;
    for _ in 0..20 {
        let id = service.placed_order().await;
        let (cancelled, _) =
            tokio::join!(service.delete_order(id), service.hear(vec![processed(id, 3, ProcessedStatus::Paid)]));
        cancelled.expect(StatusCode::OK);
        let order = service.get_order(id).await;
        assert_eq!((&order["status"], &order["paymentStatus"]), (&json!("cancelled"), &json!("paid")));
        let last = service.outbox(id).await.pop().expect("an event");
        assert_eq!(last.0, "payment-cancel-event", "the payments service hears of the cancel");
    }
}
