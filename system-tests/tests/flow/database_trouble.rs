//! A database that refuses to write for a while, and one that is migrated under running services.

use sqlx::PgPool;

use crate::broker::Hands;
use crate::services::Services;

#[sqlx::test(migrations = false)]
async fn an_event_waits_for_a_database_that_refuses_to_write(database: PgPool) {
    let (services, hands) = (Services::start(database).await, Hands::new().await);
    let id = services.place_order().await;
    services.payment_becomes(id, "pending").await;

    // As after a failover to a standby.
    services.execute("alter role orders_service in database {} set default_transaction_read_only = on").await;
    services.hang_up_on("orders_service").await;
    let copies = hands.copies_of(&services, "payment-processed-event").await;
    assert_eq!(services.pay(id, "4242424242424242").await.0, 200);
    assert!(hands.holds_soon(&copies, 1).await, "the event is published");
    let queue = services.topology.queue("payment-processed-event");
    assert!(hands.is_empty_soon(&queue).await, "the orders service has taken the event in hand");

    services.execute("alter role orders_service in database {} reset default_transaction_read_only").await;
    services.hang_up_on("orders_service").await;
    services.order_becomes(id, "delivered", "paid").await;
    services.count_becomes("select count(*) from orders.parked", 0).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_column_that_is_added_under_running_services_harms_nothing(database: PgPool) {
    let services = Services::start(database).await;
    for column in ["one", "two"] {
        let before = services.place_order().await;
        services.payment_becomes(before, "pending").await;
        let statement = format!("alter table orders.orders add column {column} text");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&services.database).await.expect("the column is added");
        let after = services.place_order().await;
        for id in [before, after] {
            assert_eq!(services.pay(id, "4242424242424242").await.0, 200);
            services.order_becomes(id, "delivered", "paid").await;
        }
    }
    services.count_becomes("select count(*) from orders.parked", 0).await;
    services.stop().await;
}
