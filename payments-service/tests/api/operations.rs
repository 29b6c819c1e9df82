//! What operators can ask the payments service.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use payments_service::operations;
use serde_json::{Value, json};
use service_kit::testing::Client;
use shared_events::ids::OrderId;
use sqlx::{AssertSqlSafe, PgPool};

use crate::helpers::{APPROVED, BILL, CHARGED_IN_SILENCE, DECLINED, LOST, TestApp, old_order};

/// Operators for whom a charge without an answer is in doubt after this time.
fn operators(service: &TestApp, settle_after: Duration) -> Client {
    Client::new(operations::routes(service.app.database.clone(), settle_after))
}

async fn get(operators: &Client, path: &str) -> Value {
    operators.send(Method::GET, path, "", &Value::Null).await.expect(StatusCode::OK)
}

#[sqlx::test(migrations = false)]
async fn a_charge_in_doubt_is_listed_and_settled_at_once(database: PgPool) {
    let service = TestApp::start(database).await;
    let [in_doubt, refunding] = [service.held_payment().await, service.held_payment().await];
    service.pay(in_doubt, CHARGED_IN_SILENCE).await.expect(StatusCode::ACCEPTED);
    service.pay(refunding, APPROVED).await.expect(StatusCode::OK);
    service.hear_cancel(vec![refunding]).await;
    let operators = operators(&service, Duration::ZERO);

    let listed = get(&operators, "/in-doubt").await;
    let short = |payment: &Value| json!([payment["orderId"], payment["status"], payment["bill"]]);
    let listed: Vec<Value> = listed.as_array().expect("a list").iter().map(short).collect();
    assert_eq!(listed, [json!([refunding, "refunding", BILL]), json!([in_doubt, "processing", BILL])]);
    let backlog = get(&operators, "/overview").await["backlog"].clone();
    assert_eq!((&backlog["inDoubt"], &backlog["refunding"]), (&json!(1), &json!(1)), "{backlog}");
    assert!(backlog["inDoubtAgeSeconds"].as_f64() > Some(0.0), "{backlog}");

    service.settle_due().await;
    assert_eq!(service.status(in_doubt).await, "processing", "its time has not come");
    let settle = |id| format!("/in-doubt/{id}/settle");
    operators.send(Method::POST, &settle(in_doubt), "", &Value::Null).await.expect(StatusCode::ACCEPTED);
    service.settle_due().await;
    assert_eq!((service.status(in_doubt).await, service.status(refunding).await), ("paid".into(), "refunded".into()));
    assert_eq!(get(&operators, "/in-doubt").await, json!([]));
    for nothing in [settle(in_doubt), settle(old_order()), "/in-doubt/nothing/settle".to_owned()] {
        let refused = operators.send(Method::POST, &nothing, "", &Value::Null).await;
        refused.expect_problem(StatusCode::CONFLICT, "payment_not_in_doubt");
    }
}

/// The release before this one keeps it with the payment.
#[sqlx::test(migrations = false)]
async fn a_charge_in_doubt_is_known_wherever_the_time_to_look_at_it_is_kept(superuser: PgPool) {
    let service = TestApp::start(superuser.clone()).await;
    let operators = operators(&service, Duration::ZERO);
    let later = "now() + interval '1 hour'";
    for [of_payment, of_attempt] in [[later, "null"], ["null", later]] {
        let id = service.held_payment().await;
        service.pay(id, CHARGED_IN_SILENCE).await.expect(StatusCode::ACCEPTED);
        let kept = format!(
            "update payments.payments set settle_at = {of_payment} where order_id = '{id}';
             update payments.attempts set settle_at = {of_attempt} where order_id = '{id}'"
        );
        sqlx::raw_sql(AssertSqlSafe(kept)).execute(&superuser).await.expect("the time is kept there");
        assert_eq!(get(&operators, "/overview").await["backlog"]["inDoubt"], 1);
        let listed = get(&operators, "/in-doubt").await[0].clone();
        assert_eq!(listed["orderId"], json!(id));
        assert!(listed["settleAt"].is_string(), "{listed}");

        let settle = format!("/in-doubt/{id}/settle");
        operators.send(Method::POST, &settle, "", &Value::Null).await.expect(StatusCode::ACCEPTED);
        service.settle_due().await;
        assert_eq!(service.status(id).await, "paid");
        let times = "select coalesce(payments.settle_at, attempts.settle_at) is null
            from payments.payments join payments.attempts using (order_id) where order_id = $1";
        let is_over: bool = sqlx::query_scalar(times).bind(id).fetch_one(&superuser).await.expect("both rows");
        assert!(is_over, "of what is settled no time is kept");
    }
}

#[sqlx::test(migrations = false)]
async fn a_charge_that_may_still_be_running_is_left_alone(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    service.pay(id, LOST).await.expect(StatusCode::ACCEPTED);
    let operators = operators(&service, Duration::from_mins(1));
    assert_eq!(get(&operators, "/in-doubt").await, json!([]));
    assert_eq!(get(&operators, "/overview").await["backlog"]["inDoubt"], 0);
    let refused = operators.send(Method::POST, &format!("/in-doubt/{id}/settle"), "", &Value::Null).await;
    refused.expect_problem(StatusCode::CONFLICT, "payment_not_in_doubt");
}

#[sqlx::test(migrations = false)]
async fn the_story_of_a_payment_has_its_attempts_postings_and_events(database: PgPool) {
    let service = TestApp::start(database.clone()).await;
    let id = service.held_payment().await;
    service.pay(id, DECLINED).await.expect_problem(StatusCode::PAYMENT_REQUIRED, "card_declined");
    service.pay(id, APPROVED).await.expect(StatusCode::OK);
    let operators = operators(&service, Duration::ZERO);
    let story = get(&operators, &format!("/story/{id}")).await;
    assert_eq!((&story["row"]["status"], &story["row"]["attempts"]), (&json!("paid"), &json!(2)));
    let mut told: Vec<&str> =
        story["entries"].as_array().expect("a list").iter().filter_map(|entry| entry["what"].as_str()).collect();
    assert_eq!(told.first(), Some(&"a payment was held"));
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "a payment was held",
            "attempt 1 began",
            "attempt 1: declined",
            "attempt 2 began",
            "attempt 2: approved",
            "payment-processed-event waits for its receipt",
            "payment-processed-event waits for its receipt",
            "the ledger: card_processor",
            "the ledger: revenue",
        ]
    );
    retire(&database, id).await;
    let retired = get(&operators, &format!("/story/{id}")).await;
    assert_eq!(retired["row"], story["row"]);
    told.push("the payment was retired");
    let mut retired: Vec<&str> =
        retired["entries"].as_array().expect("a list").iter().filter_map(|entry| entry["what"].as_str()).collect();
    retired.sort_unstable();
    told.sort_unstable();
    assert_eq!(retired, told);
    let unknown = operators.send(Method::GET, &format!("/story/{}", old_order()), "", &Value::Null).await;
    unknown.expect_problem(StatusCode::NOT_FOUND, "payment_not_found");
}

#[sqlx::test(migrations = false)]
async fn the_overview_tells_what_the_last_comparison_has_found(database: PgPool) {
    let service = TestApp::start(database).await;
    service.held_payment().await;
    let operators = operators(&service, Duration::ZERO);
    let overview = get(&operators, "/overview").await;
    assert_eq!((&overview["service"], &overview["lastReconciliation"]), (&json!("payments"), &Value::Null));
    assert_eq!(
        (&overview["payments"]["byStatus"]["pending"], &overview["payments"]["byStatus"]["paid"]),
        (&json!(1), &json!(0))
    );
    for differences in [3, 0] {
        let found = json!({"differences": differences, "compared": {"orders": 7}, "balances": {"revenue USD": -5}});
        operators.send(Method::POST, "/reconciliations", "", &found).await.expect(StatusCode::CREATED);
        let last = get(&operators, "/overview").await["lastReconciliation"].clone();
        assert_eq!((&last["differences"], &last["balances"]["revenue USD"]), (&json!(differences), &json!(-5)));
    }
    let refused = operators.send(Method::POST, "/reconciliations", "", &json!({"differences": "none"})).await;
    refused.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
}

/// As `cargo xtask retire` does it with both services' books.
async fn retire(superuser: &PgPool, order: OrderId) {
    let statements = format!(
        "set local session_replication_role = replica;
         with tried as (
             delete from payments.attempts where order_id = '{order}' returning *
         ), gone as (
             delete from payments.payments where order_id = '{order}' returning *
         )
         insert into payments.archived_payments (order_id, document, attempts)
         select order_id, to_jsonb(gone), (select jsonb_agg(tried order by number) from tried) from gone"
    );
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(superuser).await.expect("it is retired");
}
