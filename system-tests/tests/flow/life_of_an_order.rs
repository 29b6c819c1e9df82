//! The main paths, through both services and the broker between them.

use sqlx::PgPool;

use crate::services::Services;

#[sqlx::test(migrations = false)]
async fn an_order_is_paid_confirmed_and_delivered(database: PgPool) {
    let services = Services::start(database).await;
    let id = services.place_order().await;
    // At once: the payment may still be on its way, and the client is not to notice.
    let (status, payment) = services.pay(id, "10298310928301").await;
    assert_eq!((status, payment["data"]["status"].as_str()), (200, Some("paid")), "{payment}");
    services.order_becomes(id, "delivered", "paid").await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_declined_order_is_paid_with_another_card(database: PgPool) {
    let services = Services::start(database).await;
    let id = services.place_order().await;
    let (status, problem) = services.pay(id, "4000000000009995").await;
    assert_eq!((status, problem["declineCode"].as_str()), (402, Some("insufficient_funds")), "{problem}");
    services.order_becomes(id, "declined", "declined").await;
    assert_eq!(services.pay(id, "4242424242424242").await.0, 200);
    services.order_becomes(id, "delivered", "paid").await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_cancelled_order_cannot_be_paid(database: PgPool) {
    let services = Services::start(database).await;
    let id = services.place_order().await;
    assert_eq!(services.cancel(id).await.0, 200);
    services.order_becomes(id, "cancelled", "cancelled").await;
    let (status, problem) = services.pay(id, "4242424242424242").await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("payment_cancelled")), "{problem}");
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn the_money_of_a_paid_and_cancelled_order_goes_back(database: PgPool) {
    let services = Services::start(database).await;
    // The second card's first refund fails.
    for card in ["4242424242424242", "4000000000006405"] {
        let id = services.place_order().await;
        assert_eq!(services.pay(id, card).await.0, 200);
        assert_eq!(services.cancel(id).await.0, 200);
        services.payment_becomes(id, "refunded").await;
        services.order_becomes(id, "cancelled", "refunded").await;
    }
    services.count_becomes("select count(*) from sandbox.charges where status = 'refunded'", 2).await;
    services.count_becomes("select coalesce(sum(amount), 0)::bigint from payments.ledger", 0).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_charge_whose_answer_was_lost_confirms_its_order(database: PgPool) {
    let services = Services::start(database).await;
    let id = services.place_order().await;
    let (status, payment) = services.pay(id, "4000000000006108").await;
    assert_eq!((status, payment["data"]["status"].as_str()), (202, Some("processing")), "{payment}");
    services.order_becomes(id, "delivered", "paid").await;
    services.stop().await;
}
