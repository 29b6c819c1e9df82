//! Messages that cannot be applied, and what an operator can do about them.

use serde_json::{Value, json};
use shared_events::ids::OrderId;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use uuid::Uuid;

use crate::broker::{Hands, event};
use crate::link::Link;
use crate::services::{Services, amqp_url};

const CREATE: &str = "payment-create-event";
const PROCESSED: &str = "payment-processed-event";

#[sqlx::test(migrations = false)]
async fn every_kind_of_parked_message_is_counted(database: PgPool) {
    let (services, hands) = (Services::start(database).await, Hands::new().await);
    let id = services.place_order().await;
    services.payment_becomes(id, "pending").await;
    let (queue, dead_queue) = (services.topology.queue(CREATE), services.topology.dead_queue(CREATE));
    let count = async |queue: &str, kind: &str, number: u8| {
        let line = format!("parked_messages_total{{queue=\"{queue}\",kind=\"{kind}\"}} {number}");
        services.metric_becomes(&line).await;
    };
    count(&queue, "malformed", 0).await;

    hands.publish(&services, CREATE, b"nonsense").await;
    hands.publish(&services, CREATE, &create(id, 1)).await;
    hands.publish(&services, CREATE, &create(OrderId::generate(), -1)).await;
    hands.publish_to("", &dead_queue, &create(OrderId::generate(), 1)).await;
    for kind in ["malformed", "impossible", "refused"] {
        count(&queue, kind, 1).await;
    }
    count(&dead_queue, "dead_lettered", 1).await;
    services.metric_becomes("parked_rows 4").await;
    for purpose in ["publisher", "consumer"] {
        services.metric_becomes(&format!("broker_sessions{{purpose=\"{purpose}\"}} 1")).await;
    }

    let (_, parked) = services.ask_payments("GET", "/parked").await;
    for row in parked["data"].as_array().expect("a list") {
        assert_eq!(services.ask_payments("DELETE", &path(row)).await.0, 200);
    }
    services.metric_becomes("parked_rows 0").await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_a_queue_gave_up_on_goes_back_to_it(database: PgPool) {
    let (services, hands) = (started(database).await, Hands::new().await);
    let id = OrderId::generate();
    hands.publish_to("", &services.topology.dead_queue(CREATE), &create(id, 7)).await;
    let row = parked_by_payments(&services).await;
    assert_eq!((&row["body"]["subject"], &row["messageId"]), (&json!(id), &json!("from-a-test")));

    let (status, replay) = services.ask_payments("POST", &format!("{}/replay", path(&row))).await;
    assert_eq!((status, &replay["data"]["queue"]), (202, &json!(services.topology.queue(CREATE))));
    assert_eq!(services.payment_becomes(id, "pending").await["bill"], 7);
    services.count_becomes("select count(*) from payments.parked", 0).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_was_impossible_is_applied_once_it_is_possible(database: PgPool) {
    let (services, hands) = (started(database).await, Hands::new().await);
    let id = OrderId::generate();
    let paid = json!({"orderId": id, "paymentId": Uuid::now_v7(), "status": "paid", "version": 3,
                      "bill": 7, "currency": "USD"});
    hands.publish(&services, PROCESSED, &event(PROCESSED, id, &paid)).await;
    services.count_becomes("select count(*) from orders.parked where reason like 'impossible%'", 1).await;
    services
        .execute(&format!(
            "insert into orders.orders (id, created_by, status, bill, currency, expires_at)
             values ('{id}', 'somerandomuserid', 'created', 7, 'USD', now() + interval '1 day')"
        ))
        .await;
    let (_, parked) = services.ask_orders("GET", "/parked").await;
    assert_eq!(services.ask_orders("POST", &format!("{}/replay", path(&parked["data"][0]))).await.0, 202);
    services.order_becomes(id, "delivered", "paid").await;
    services.count_becomes("select count(*) from orders.parked", 0).await;
    services.stop().await;
}

/// Also when two operators replay it at once, and so two copies of it are under way.
#[sqlx::test(migrations = false)]
async fn what_still_cannot_be_applied_is_parked_again_once(database: PgPool) {
    let (services, hands) = (started(database).await, Hands::new().await);
    hands.publish(&services, CREATE, b"nonsense").await;
    let row = parked_by_payments(&services).await;

    // Held up, so that neither copy is settled before the other is sent.
    let lock = lock_parked(&services).await;
    let replay = format!("{}/replay", path(&row));
    let (one, other) = tokio::join!(services.ask_payments("POST", &replay), services.ask_payments("POST", &replay));
    assert_eq!((one.0, other.0), (202, 202), "{one:?} {other:?}");
    assert_eq!(services.ask_payments("GET", &path(&row)).await.0, 200, "the row stays until then");
    drop(lock.close().await);

    // What is parked last went through the queue behind both.
    hands.publish(&services, CREATE, b"behind").await;
    services.count_becomes("select count(*) from payments.parked where body = 'behind'", 1).await;
    let (_, parked) = services.ask_payments("GET", "/parked").await;
    let rows: Vec<Value> =
        parked["data"].as_array().expect("a list").iter().map(|row| row["replayOf"].clone()).collect();
    assert_eq!(rows, [row["id"].clone(), Value::Null], "{parked}");
    let line = format!("parked_messages_total{{queue=\"{}\",kind=\"malformed\"}} 3", services.topology.queue(CREATE));
    services.metric_becomes(&line).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_is_replayed_twice_is_applied_once(database: PgPool) {
    let (services, hands) = (started(database).await, Hands::new().await);
    let id = OrderId::generate();
    hands.publish_to("", &services.topology.dead_queue(CREATE), &create(id, 7)).await;
    let row = parked_by_payments(&services).await;
    let lock = lock_parked(&services).await;
    let replay = format!("{}/replay", path(&row));
    let (one, other) = tokio::join!(services.ask_payments("POST", &replay), services.ask_payments("POST", &replay));
    assert_eq!((one.0, other.0), (202, 202), "{one:?} {other:?}");
    drop(lock.close().await);
    services.count_becomes("select count(*) from payments.parked", 0).await;

    let payment = services.payment_becomes(id, "pending").await;
    let behind = services.place_order().await;
    services.payment_becomes(behind, "pending").await;
    assert_eq!(services.payment_becomes(id, "pending").await, payment);
    services.count_becomes("select count(*) from payments.parked", 0).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_message_stays_parked_while_the_broker_is_away(database: PgPool) {
    let (link, hands) = (Link::new().await, Hands::new().await);
    let services = Services::start_with(database, &amqp_url(), &link.amqp_url).await;
    services.queues_are_declared().await;
    services.metric_becomes("broker_sessions{purpose=\"publisher\"} 1").await;
    let id = OrderId::generate();
    hands.publish_to("", &services.topology.dead_queue(CREATE), &create(id, 7)).await;
    let row = parked_by_payments(&services).await;

    let cut = link.cut().await;
    services.metric_becomes("broker_sessions{purpose=\"publisher\"} 0").await;
    let replay = format!("{}/replay", path(&row));
    let (status, problem) = services.ask_payments("POST", &replay).await;
    assert_eq!((status, &problem["code"]), (503, &json!("broker_unavailable")), "{problem}");
    assert_eq!(services.ask_payments("GET", &path(&row)).await.0, 200);

    let _mended = cut.mend().await;
    services.metric_becomes("broker_sessions{purpose=\"publisher\"} 1").await;
    // Nobody waits for the first replay any more, so that it is not sent.
    let queue = services.topology.queue(CREATE);
    assert!(hands.is_empty_soon(&queue).await);
    assert_eq!(services.ask_payments("GET", &path(&row)).await.0, 200);
    assert_eq!(services.ask_payments("POST", &replay).await.0, 202);
    services.payment_becomes(id, "pending").await;
    services.count_becomes("select count(*) from payments.parked", 0).await;
    services.stop().await;
}

/// Both services, with all queues declared: what is published before that goes nowhere.
async fn started(database: PgPool) -> Services {
    let services = Services::start(database).await;
    services.queues_are_declared().await;
    services
}

/// The one row that there is, or soon will be.
async fn parked_by_payments(services: &Services) -> Value {
    services.count_becomes("select count(*) from payments.parked", 1).await;
    let (_, parked) = services.ask_payments("GET", "/parked").await;
    let (status, row) = services.ask_payments("GET", &path(&parked["data"][0])).await;
    assert_eq!(status, 200, "{row}");
    row["data"].clone()
}

fn path(row: &Value) -> String {
    format!("/parked/{}", row["id"])
}

/// Nothing is parked or forgotten until the connection is closed.
async fn lock_parked(services: &Services) -> PoolConnection<Postgres> {
    let mut connection = services.database.acquire().await.expect("a connection");
    let lock = "begin; lock table payments.parked in exclusive mode";
    sqlx::raw_sql(lock).execute(&mut *connection).await.expect("the lock is taken");
    connection
}

fn create(id: OrderId, bill: i64) -> Vec<u8> {
    event(CREATE, id, &json!({"orderId": id, "createdBy": "somerandomuserid", "bill": bill, "currency": "USD"}))
}
