//! What happens to webhooks while messages are sent to them.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use orders_service::changes;
use orders_service::webhooks::lease;
use orders_service::webhooks::schedule::Verdict;
use serde_json::{Value, json};
use service_kit::testing::receiver::{Receiver, Reply};
use service_kit::testing::{ALICE, wait_for_waiting};
use sqlx::PgPool;

use crate::helpers::TestApp;
use crate::webhook_service::{TIMEOUT, WEBHOOKS, start, text};

impl TestApp {
    /// As if each pending message had been tried so often.
    async fn have_tried(&self, times: i32) {
        let tried = "update orders.webhook_deliveries set attempts = $1 where status = 'pending'";
        sqlx::query(tried).bind(times).execute(&self.app.database).await.expect("time passes");
    }

    async fn lease(&self) -> lease::Leased {
        lease::take(&self.app.database, 1).await.expect("the database answers").remove(0)
    }
}

#[sqlx::test(migrations = false)]
async fn all_who_are_told_of_something_are_told_with_the_same_id(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    for path in ["one", "other"] {
        service.webhook(json!({"url": format!("{}/{path}", receiver.url)})).await;
    }
    service.placed_order().await;
    service.deliver().await;
    let received = receiver.take();
    assert_eq!((received.len(), received[0].header("webhook-id")), (2, received[1].header("webhook-id")));
}

#[sqlx::test(migrations = false)]
async fn a_webhook_that_took_something_meanwhile_is_not_disabled(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    service.placed_order().await;
    service.fan_out().await;
    service.have_tried(9).await;
    let took = "update orders.webhooks set last_success_at = now()";
    sqlx::query(took).execute(&service.app.database).await.expect("it takes something");
    receiver.answers("/", Reply::Status(StatusCode::BAD_GATEWAY));
    service.deliver().await;
    assert_eq!(service.deliveries(&webhook).await[0]["status"], "failed");
    assert_eq!(service.as_it_is(&webhook).await["enabled"], true);

    // So it is if it takes one message while another is given up.
    let never = "update orders.webhooks set last_success_at = null";
    sqlx::query(never).execute(&service.app.database).await.expect("as at the beginning");
    service.placed_order().await;
    service.placed_order().await;
    service.fan_out().await;
    service.have_tried(9).await;
    receiver.answers("/", Reply::Once(StatusCode::BAD_GATEWAY));
    service.deliver().await;
    let mut statuses: Vec<_> =
        service.deliveries(&webhook).await[..2].iter().map(|delivery| text(&delivery["status"]).to_owned()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["delivered", "failed"]);
    assert_eq!(service.as_it_is(&webhook).await["enabled"], true);
}

#[sqlx::test(migrations = false)]
async fn what_is_replayed_while_it_is_sent_is_sent_anew_however_that_ends(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    service.placed_order().await;
    service.fan_out().await;
    service.have_tried(9).await;
    let leased = service.lease().await;
    let due = lease::due(&service.app.database, leased.id).await.expect("the database answers").remove(0);
    service.post(&format!("{WEBHOOKS}/{}/deliveries/{}/replay", text(&webhook["id"]), due.id)).await;
    let recorded =
        lease::record(&service.app.database, &due, Verdict::GivenUp, Some(500), None, Duration::from_millis(5));
    recorded.await.expect("the database answers");
    let delivery = service.deliveries(&webhook).await.remove(0);
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("pending"), &json!(0)));
    service.sending(TIMEOUT).turn(&leased).await.expect("the database answers");
    assert_eq!(receiver.count(), 1);
}

#[sqlx::test(migrations = false)]
async fn a_message_that_is_made_while_a_lease_ends_is_due(database: PgPool) {
    let service = start(&database).await;
    service.webhook(json!({"url": "http://127.0.0.1:1"})).await;
    service.placed_order().await;
    service.fan_out().await;
    let leased = service.lease().await;
    let done = "update orders.webhook_deliveries set status = 'delivered', next_attempt_at = null";
    sqlx::query(done).execute(&database).await.expect("all is sent");
    // Another replica is about to commit a message, which the end of the lease cannot see.
    let mut other = database.acquire().await.expect("a connection");
    let make = "begin;
        insert into orders.webhook_deliveries (id, webhook_id, message_id, event_type, order_id, payload)
        select gen_random_uuid(), webhook_id, message_id, event_type, order_id, payload from orders.webhook_deliveries;
        update orders.webhooks set due_at = now()";
    sqlx::raw_sql(make).execute(&mut *other).await.expect("a message is made");
    let commit = async {
        wait_for_waiting(&database, 1).await;
        sqlx::raw_sql("commit").execute(&mut *other).await.expect("the transaction ends");
    };
    let (released, ()) = tokio::join!(lease::release(&service.app.database, &leased, None), commit);
    released.expect("the database answers");
    assert_eq!(service.lease().await.id, leased.id);
}

#[sqlx::test(migrations = false)]
async fn what_somebody_else_was_told_cannot_be_replayed_to_oneself(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    service.placed_order().await;
    service.deliver().await;
    let delivery = service.deliveries(&webhook).await.remove(0);
    let hers = json!({"url": format!("{}/hers", receiver.url)});
    let hers = service.client.send(Method::POST, WEBHOOKS, ALICE, &hers).await.expect(StatusCode::CREATED);
    let path = format!("{WEBHOOKS}/{}/deliveries/{}/replay", text(&hers["id"]), text(&delivery["id"]));
    let refused = service.client.send(Method::POST, &path, ALICE, &Value::Null).await;
    refused.expect_problem(StatusCode::NOT_FOUND, "delivery_not_found");
    service.deliver().await;
    assert_eq!(receiver.count(), 1);
}

#[sqlx::test(migrations = false)]
async fn what_was_told_is_forgotten_after_thirty_days(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    service.placed_order().await;
    service.deliver().await;
    let passed = "update orders.webhook_deliveries set created_at = now() - interval '30 days 1 second'";
    sqlx::query(passed).execute(&service.app.database).await.expect("time passes");
    let kept = service.placed_order().await;
    service.deliver().await;
    assert!(!lease::forget_old(&service.app.database).await.expect("the database answers"), "that was all");
    let left = service.deliveries(&webhook).await;
    assert_eq!(left.iter().map(|delivery| text(&delivery["orderId"])).collect::<Vec<_>>(), [kept.to_string()]);
}

#[sqlx::test(migrations = false)]
async fn a_change_is_kept_until_webhooks_are_told_of_it_however_old_it_is(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    service.webhook(json!({"url": receiver.url})).await;
    service.placed_order().await;
    let passed = "update orders.changes set at = now() - interval '1 year'";
    sqlx::query(passed).execute(&database).await.expect("time passes");
    changes::forget(&service.app.database).await.expect("the database answers");
    service.deliver().await;
    assert_eq!(receiver.count(), 1);
    changes::forget(&service.app.database).await.expect("the database answers");
    let left: i64 =
        sqlx::query_scalar("select count(*) from orders.changes").fetch_one(&database).await.expect("a count");
    assert_eq!(left, 0);
}
