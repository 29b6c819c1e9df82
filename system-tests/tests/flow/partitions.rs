//! Orders and payments in partitioned tables.

use orders_service::SCHEMA;
use service_kit::testing::partition;
use sqlx::PgPool;

use crate::services::Services;

#[sqlx::test(migrations = false)]
async fn the_end_of_the_months_is_told_also_when_none_is_left(database: PgPool) {
    let services = Services::start(database.clone()).await;
    let end = async || {
        let [orders, _] = services.metrics().await;
        let figure = orders.lines().find_map(|line| line.strip_prefix("partitions_end_seconds ")?.parse::<f64>().ok());
        figure.expect("a figure")
    };
    assert!(end().await.abs() < f64::EPSILON, "plain tables have no end");
    partition(&database, SCHEMA, 0).await;
    let now: f64 =
        sqlx::query_scalar("select extract(epoch from now())::float8").fetch_one(&database).await.expect("now");
    let last_month = end().await;
    assert!(last_month > now, "months are made before they begin");
    let drop = "do $$ declare month regclass; begin
            for month in select inhrelid from pg_inherits
                where inhparent in ('orders.orders'::regclass, 'orders.order_events'::regclass)
                    and inhrelid::regclass::text not like '%default'
                order by inhparent::regclass::text
            loop execute format('drop table %s', month); end loop;
        end $$";
    sqlx::raw_sql(drop).execute(&database).await.expect("the months go");
    let end = end().await;
    assert!((now..last_month).contains(&end), "{end} is not now, {now}");
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_order_and_all_that_belongs_to_it_are_in_the_partition_of_its_month(database: PgPool) {
    let services = Services::start(database.clone()).await;
    // The services are up, and have prepared their statements.
    let before = services.place_order().await;
    services.pay(before, "4242424242424242").await;
    services.order_becomes(before, "delivered", "paid").await;
    // Nothing of this month may be there, so that it gets a partition of its own.
    let empty = "set session_replication_role = replica; delete from orders.order_events; delete from orders.orders;
        delete from payments.ledger; delete from payments.attempts; delete from payments.payments";
    let mut aside = database.acquire().await.expect("a connection").detach();
    sqlx::raw_sql(empty).execute(&mut aside).await.expect("all rows go");
    for schema in [SCHEMA, payments_service::SCHEMA] {
        partition(&database, schema, 1).await;
    }

    let paid = services.place_order().await;
    services.pay(paid, "4000000000009995").await;
    services.pay(paid, "4242424242424242").await;
    services.order_becomes(paid, "delivered", "paid").await;
    let cancelled = services.place_order().await;
    services.pay(cancelled, "4242424242424242").await;
    services.cancel(cancelled).await;
    services.order_becomes(cancelled, "cancelled", "refunded").await;

    let places = "select string_agg(distinct replace(tableoid::regclass::text, to_char(now() at time zone 'UTC', 'YYYY_MM'), 'now'), ' ')
        from (select tableoid from orders.orders union all select tableoid from orders.order_events
            union all select tableoid from payments.payments union all select tableoid from payments.attempts
            union all select tableoid from payments.ledger) as rows";
    let places: String = sqlx::query_scalar(places).fetch_one(&database).await.expect("rows");
    assert_eq!(
        places,
        "orders.order_events_now orders.orders_now payments.attempts_now payments.ledger_now payments.payments_now"
    );
    services.count_becomes("select count(*) from payments.parked", 0).await;
    services.stop().await;
}
