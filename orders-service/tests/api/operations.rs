//! What operators can ask the orders service: how it stands, what became of an order, what waits in its outbox.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use shared_events::ids::OrderId;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::helpers::TestApp;
use crate::operator::Operator;

#[sqlx::test(migrations = false)]
async fn the_overview_counts_states_and_what_is_late(database: PgPool) {
    let operator = Operator::of(TestApp::start(database).await);
    let [late, _, cancelled] =
        [operator.test.placed_order().await, operator.test.placed_order().await, operator.test.placed_order().await];
    operator.test.delete_order(cancelled).await.expect(StatusCode::OK);
    let statement =
        "update orders.orders set status = 'confirmed', deliver_at = now() - interval '1 hour' where id = $1";
    sqlx::query(statement).bind(late).execute(&operator.database).await.expect("the order is late");

    let overview = operator.get("/overview").await.expect(StatusCode::OK);
    assert_eq!(overview["service"], "orders");
    let expected = json!({"created": 1, "confirmed": 1, "declined": 0, "cancelled": 1, "delivered": 0});
    assert_eq!(overview["orders"]["byStatus"], expected);
    assert_eq!((&overview["messages"]["outboxEvents"], &overview["messages"]["parkedRows"]), (&json!(4), &json!(0)));
    let backlog = &overview["backlog"];
    assert_eq!((&backlog["deliveriesOverdue"], &backlog["expiriesOverdue"]), (&json!(1), &json!(0)));
    assert!(backlog["deliveriesOverdueAgeSeconds"].as_f64() >= Some(3600.0), "{backlog}");
}

#[sqlx::test(migrations = false)]
async fn the_story_of_an_order_has_its_history_its_events_and_what_was_parked_of_it(database: PgPool) {
    let operator = Operator::of(TestApp::start(database).await);
    let id = operator.test.placed_order().await;
    operator.test.delete_order(id).await.expect(StatusCode::OK);
    operator.park("payment-processed-event", format!(r#"{{"subject": "{id}"}}"#).as_bytes()).await;
    let story = operator.get(&format!("/story/{id}")).await.expect(StatusCode::OK);
    let row = &story["row"];
    assert_eq!(
        (&row["status"], &row["cancel_reason"], &row["version"]),
        (&json!("cancelled"), &json!("user"), &json!(2))
    );
    assert!(row["traceparent"].as_str().is_some_and(|trace| trace.len() == 55), "{row}");
    let entries = story["entries"].as_array().expect("a list");
    let told: Vec<_> = entries.iter().filter_map(|entry| entry["what"].as_str()).collect();
    let events = ["payment-create-event waits for its receipt", "payment-cancel-event waits for its receipt"];
    assert!(events.iter().all(|event| told.contains(event)), "{told:?}");
    assert_eq!((told.len(), told[4]), (5, "a message was parked"), "{told:?}");
    let times: Vec<_> = entries.iter().filter_map(|entry| entry["at"].as_str()).collect();
    assert!(times.is_sorted(), "{times:?}");

    retire(&operator.test.superuser, id).await;
    let retired = operator.get(&format!("/story/{id}")).await.expect(StatusCode::OK);
    assert_eq!(&retired["row"], row);
    let told: Vec<_> =
        retired["entries"].as_array().expect("a list").iter().map(|entry| entry["what"].clone()).collect();
    for what in ["the order was placed", "the order: cancelled", "the order was retired"] {
        assert!(told.contains(&json!(what)), "{what} is not in {told:?}");
    }

    for unknown in [format!("/story/{}", OrderId::generate()), "/story/nothing".to_owned()] {
        operator.get(&unknown).await.expect_problem(StatusCode::NOT_FOUND, "order_not_found");
    }
}

#[sqlx::test(migrations = false)]
async fn the_outbox_is_listed_page_by_page_and_made_due(database: PgPool) {
    let operator = Operator::of(TestApp::start(database).await);
    let orders = [operator.test.placed_order().await, operator.test.placed_order().await];
    let first = operator.get("/outbox?limit=1").await;
    let next = first.body["page"]["nextAfter"].as_str().expect("another page").to_owned();
    let second = operator.get(&format!("/outbox?limit=1&after={next}")).await;
    assert_eq!(second.body["page"]["nextAfter"], Value::Null);
    let listed = [first.expect(StatusCode::OK), second.expect(StatusCode::OK)].map(|page| page[0]["orderId"].clone());
    assert_eq!(listed, orders.map(|order| json!(order)));
    operator.get("/outbox?after=x").await.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");

    let due = "select count(*) from orders.outbox where next_attempt_at <= now()";
    let republished = operator.send(Method::POST, "/outbox/republish").await.expect(StatusCode::ACCEPTED);
    assert_eq!(republished["events"], 2);
    let due: i64 = sqlx::query_scalar(due).fetch_one(&operator.database).await.expect("a count");
    assert_eq!(due, 2);
}

#[sqlx::test(migrations = false)]
async fn only_who_has_the_token_may_look_at_what_is_stored(database: PgPool) {
    let operator = Operator::of(TestApp::start(database).await);
    let id = operator.test.placed_order().await;
    for path in ["/overview".to_owned(), format!("/story/{id}"), "/outbox".to_owned()] {
        let stranger = operator.client.send(Method::GET, &path, "thisisajwttoken", &Value::Null).await;
        stranger.expect_problem(StatusCode::UNAUTHORIZED, "unauthorized");
    }
    let stranger = operator.client.send(Method::POST, "/outbox/republish", "", &Value::Null).await;
    stranger.expect_problem(StatusCode::UNAUTHORIZED, "unauthorized");
}

#[sqlx::test(migrations = false)]
async fn metrics_tell_of_an_archive_or_standby_that_does_not_take_in_what_is_written(superuser: PgPool) {
    let operator = Operator::of(TestApp::start(superuser.clone()).await);
    let slot = format!("test_{}", Uuid::now_v7().simple());
    let make = "select pg_create_physical_replication_slot($1, true)";
    sqlx::query(make).bind(&slot).execute(&superuser).await.expect("a slot");
    operator.test.placed_order().await;
    let metrics = operator.get("/guarded/metrics").await.text;
    sqlx::query("select pg_drop_replication_slot($1)").bind(&slot).execute(&superuser).await.expect("no slot");
    for name in ["replication_slots_inactive", "replication_kept_bytes"] {
        let figure = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        assert!(figure > Some(0), "{name} in\n{metrics}");
    }
}

/// As `cargo xtask retire` does it with both services' books.
async fn retire(superuser: &PgPool, order: OrderId) {
    let statements = format!(
        "set local session_replication_role = replica;
         with history as (
             delete from orders.order_events where order_id = '{order}' returning *
         ), gone as (
             delete from orders.orders where id = '{order}' returning *
         )
         insert into orders.archived_orders (id, document, events)
         select id, to_jsonb(gone), (select jsonb_agg(history order by version) from history) from gone"
    );
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(superuser).await.expect("it is retired");
}
