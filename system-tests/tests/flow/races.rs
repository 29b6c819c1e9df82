//! Cancels, expiries and pays that meet, through both services and the broker between them.

use serde_json::{Value, json};
use shared_events::ids::OrderId;
use sqlx::PgPool;

use crate::broker::{Hands, event};
use crate::link::Link;
use crate::services::{Services, amqp_url};

const APPROVED: &str = "4242424242424242";
const DECLINED: &str = "4000000000009995";
/// Charged, and the answer is lost.
const CHARGED_IN_SILENCE: &str = "4000000000006108";
/// Not charged, and the answer is lost.
const LOST: &str = "4000000000006207";
/// Approved after three seconds.
const SLOW: &str = "4000000000006306";

const CANCEL: &str = "payment-cancel-event";

#[sqlx::test(migrations = false)]
async fn an_order_can_be_cancelled_in_every_state_of_its_payment(database: PgPool) {
    let services = Services::start(database).await;
    let mut cancelled = Vec::new();
    for (card, status, end, charges, ledger) in [
        (DECLINED, 402, "cancelled", json!(["declined"]), json!(null)),
        (CHARGED_IN_SILENCE, 202, "refunded", json!(["refunded"]), json!([62243, -62243])),
        (LOST, 202, "cancelled", json!(["voided"]), json!(null)),
        (APPROVED, 200, "refunded", json!(["refunded"]), json!([62243, -62243])),
    ] {
        let id = services.place_order().await;
        assert_eq!(services.pay(id, card).await.0, status, "{card}");
        assert_eq!(services.cancel(id).await.0, 200, "{card}");
        cancelled.push((id, end, charges, ledger));
    }
    for (id, end, charges, ledger) in cancelled {
        services.payment_becomes(id, end).await;
        services.order_becomes(id, "cancelled", end).await;
        assert_eq!(money(&services, id).await, json!([charges, ledger]));
        let (status, again) = services.cancel(id).await;
        assert_eq!((status, &again["data"]["status"]), (200, &json!("cancelled")));
    }
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_charge_that_is_cancelled_again_and_again_while_it_runs_is_given_back_once(database: PgPool) {
    let (services, hands) = (Services::start(database).await, Hands::new().await);
    let id = services.place_order().await;
    let paying = services.spawn_pay(id, SLOW);
    services.payment_becomes(id, "processing").await;
    assert_eq!(services.cancel(id).await.0, 200);
    for _ in 0..3 {
        hands.publish(&services, CANCEL, &event(CANCEL, id, &json!({"orderId": id, "reason": "user"}))).await;
    }
    services.count_becomes("select count(*) from payments.payments where cancel_requested", 1).await;
    assert_eq!(money(&services, id).await, json!([null, null]), "it is still being charged");
    let (status, problem) = paying.await.expect("no panic");
    assert_eq!((status, &problem["code"]), (409, &json!("payment_cancelled")), "{problem}");
    services.order_becomes(id, "cancelled", "refunded").await;
    assert_eq!(money(&services, id).await, json!([["refunded"], [62243, -62243]]));
    let behind = services.place_order().await;
    services.payment_becomes(behind, "pending").await;
    assert_eq!(services.payment_becomes(id, "refunded").await["version"], 5);
    services.count_becomes("select count(*) from payments.parked", 0).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_order_that_expires_while_it_is_being_paid_gets_its_money_back(database: PgPool) {
    let services = Services::start(database).await;
    let (approved, in_doubt, lost) =
        (services.place_order().await, services.place_order().await, services.place_order().await);
    assert_eq!(services.pay(in_doubt, CHARGED_IN_SILENCE).await.0, 202);
    assert_eq!(services.pay(lost, LOST).await.0, 202);
    let paying = services.spawn_pay(approved, SLOW);
    services.payment_becomes(approved, "processing").await;
    services.execute("update orders.orders set expires_at = now()").await;
    services.count_becomes("select count(*) from payments.payments where cancel_requested", 3).await;
    let (status, problem) = paying.await.expect("no panic");
    assert_eq!((status, &problem["code"]), (409, &json!("payment_cancelled")), "{problem}");
    let given_back = json!([["refunded"], [62243, -62243]]);
    for (id, end, books) in [
        (approved, "refunded", &given_back),
        (in_doubt, "refunded", &given_back),
        (lost, "cancelled", &json!([["voided"], null])),
    ] {
        let order = services.order_becomes(id, "cancelled", end).await;
        assert_eq!(order["cancelReason"], "expired");
        assert_eq!(money(&services, id).await, *books);
    }
    services.stop().await;
}

/// The payments service is cut off from the broker, so that neither hears of the other: one order is paid and then
/// expires, another expires and is then paid.
#[sqlx::test(migrations = false)]
async fn an_order_that_expired_and_was_paid_unknown_to_each_other_gets_its_money_back(database: PgPool) {
    let link = Link::new().await;
    let services = Services::start_with(database, &amqp_url(), &link.amqp_url).await;
    let (paid_first, expired_first) = (services.place_order().await, services.place_order().await);
    for id in [paid_first, expired_first] {
        services.payment_becomes(id, "pending").await;
    }
    let cut = link.cut().await;
    assert_eq!(services.pay(paid_first, APPROVED).await.0, 200);
    services.execute("update orders.orders set expires_at = now()").await;
    for id in [paid_first, expired_first] {
        services.order_becomes(id, "cancelled", "pending").await;
    }
    assert_eq!(services.pay(expired_first, APPROVED).await.0, 200);

    let _mended = cut.mend().await;
    for id in [paid_first, expired_first] {
        let order = services.order_becomes(id, "cancelled", "refunded").await;
        assert_eq!(order["cancelReason"], "expired");
        assert_eq!(money(&services, id).await, json!([["refunded"], [62243, -62243]]));
    }
    services.stop().await;
}

/// The first cancel is lost for good, so only the news of the money can send it again.
#[sqlx::test(migrations = false)]
async fn money_that_comes_late_for_a_cancelled_order_goes_back_even_if_the_cancel_was_lost(database: PgPool) {
    let (link, hands) = (Link::new().await, Hands::new().await);
    let services = Services::start_with(database, &amqp_url(), &link.amqp_url).await;
    let id = services.place_order().await;
    services.payment_becomes(id, "pending").await;

    let cut = link.cut().await;
    assert_eq!(services.pay(id, APPROVED).await.0, 200);
    assert_eq!(services.cancel(id).await.0, 200);
    let queue = services.topology.queue(CANCEL);
    assert!(hands.holds_soon(&queue, 1).await, "the cancel waits in its queue");
    services.execute("delete from orders.outbox").await;
    hands.purge(&queue).await;

    let _mended = cut.mend().await;
    services.order_becomes(id, "cancelled", "refunded").await;
    assert_eq!(money(&services, id).await, json!([["refunded"], [62243, -62243]]));
    services.stop().await;
}

/// The processor's charges of the order, and what moved through its account in the ledger.
async fn money(services: &Services, id: OrderId) -> Value {
    const MONEY: &str = "
        select jsonb_build_array(
            (select jsonb_agg(status order by attempt_id) from sandbox.charges where order_id = $1),
            (select jsonb_agg(amount order by posted_at) from payments.ledger
                where order_id = $1 and account = 'card_processor'))";
    sqlx::query_scalar(MONEY).bind(id).fetch_one(&services.database).await.expect("the books are read")
}
