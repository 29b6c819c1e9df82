//! A database that refuses to write for a while, one of whose rows is held, one that takes long to look into an outbox, and
//! one that is migrated under running services.

use serde_json::json;
use service_kit::testing::RowLock;
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
async fn requests_are_refused_while_no_connection_is_to_be_had_and_go_on_afterwards(database: PgPool) {
    let services = Services::start(database).await;
    let id = services.place_order().await;
    services.payment_becomes(id, "pending").await;

    services.execute("alter database {} connection limit 0").await;
    for role in ["orders_service", "payments_service", "sandbox_processor"] {
        services.hang_up_on(role).await;
    }
    let card = json!({"creditCardDetails": {"number": "4242424242424242", "cvt": 345, "expiry": "4/12/2020"}});
    for (path, body) in [("/api/orders".to_owned(), json!({"bill": 5})), (format!("/api/payments/pay/{id}"), card)] {
        let (status, problem) = services.send("POST", &path, body).await;
        assert_eq!((status, &problem["code"]), (503, &json!("service_unavailable")), "{path}: {problem}");
    }

    services.execute("alter database {} connection limit -1").await;
    let after = services.place_order().await;
    for id in [id, after] {
        services.payment_becomes(id, "pending").await;
        assert_eq!(services.pay(id, "4242424242424242").await.0, 200);
        services.order_becomes(id, "delivered", "paid").await;
    }
    services.count_becomes("select count(*) from orders.orders", 2).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_order_that_somebody_holds_does_not_keep_the_events_of_others_waiting(database: PgPool) {
    let services = Services::start(database.clone()).await;
    let [held, other] = [services.place_order().await, services.place_order().await];
    for id in [held, other] {
        services.payment_becomes(id, "pending").await;
    }
    let lock = RowLock::hold(&database, "select from orders.orders where id = $1 for update", held).await;
    assert_eq!(services.pay(held, "4242424242424242").await.0, 200);
    lock.is_waited_for_by(1).await;
    assert_eq!(services.pay(other, "4242424242424242").await.0, 200);
    services.order_becomes(other, "delivered", "paid").await;

    lock.let_go().await;
    // As it does by itself, only sooner.
    services.execute("update payments.outbox set next_attempt_at = now()").await;
    services.order_becomes(held, "delivered", "paid").await;
    services.count_becomes("select count(*) from orders.parked", 0).await;
    services.count_becomes("select count(*) from payments.outbox", 0).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_event_that_was_just_committed_does_not_wait_for_a_look_into_the_outbox(database: PgPool) {
    const LOOKS: &str = "from pg_stat_activity
                         where state = 'active' and query like 'select exists (select from orders.outbox%'
                             and datname = current_database()";

    let services = Services::start(database).await;
    services.queues_are_declared().await;
    // Whoever looks at this event, which is never due, has to wait.
    services
        .execute(
            "insert into orders.outbox (id, event, order_id, data, next_attempt_at)
             values (gen_random_uuid(), 'an-event', gen_random_uuid(), 'null', 'infinity');
             create policy slow on orders.outbox using (event <> 'an-event' or pg_sleep(3600) is not null);
             alter table orders.outbox enable row level security",
        )
        .await;
    services.count_becomes(format!("select count(*) {LOOKS}"), 1).await;
    let look = format!("select query_start::text {LOOKS}");
    let began =
        || sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(look.clone())).fetch_optional(&services.database);
    let before = began().await.expect("the statements are listed");

    let id = services.place_order().await;
    services.payment_becomes(id, "pending").await;
    assert_eq!(began().await.expect("the statements are listed"), before, "the look goes on");
    assert!(before.is_some());
    services.hang_up_on("orders_service").await;
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
