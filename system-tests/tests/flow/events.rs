//! Events that are repeated, late, out of order or nonsense.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::broker::{Hands, event};
use crate::services::Services;

const CREATE: &str = "payment-create-event";
const CANCEL: &str = "payment-cancel-event";
const PROCESSED: &str = "payment-processed-event";

#[sqlx::test(migrations = false)]
async fn repeated_and_late_events_change_nothing(database: PgPool) {
    let (services, hands) = (Services::start(database).await, Hands::new().await);
    let id = services.place_order().await;
    services.pay(id, "4000000000009995").await;
    services.pay(id, "4242424242424242").await;
    let order = services.order_becomes(id, "delivered", "paid").await;
    let payment = services.payment_becomes(id, "paid").await;

    let create = json!({"orderId": id, "createdBy": "somerandomuserid", "bill": 62243, "currency": "USD"});
    let declined = json!({"orderId": id, "paymentId": payment["id"], "status": "declined", "version": 3,
                          "bill": 62243, "currency": "USD", "declineCode": "insufficient_funds"});
    for _ in 0..3 {
        hands.publish(&services, CREATE, &event(CREATE, id, &create)).await;
        hands.publish(&services, PROCESSED, &event(PROCESSED, id, &declined)).await;
    }
    // An order placed after them goes through the same queues behind them.
    let behind = services.place_order().await;
    services.pay(behind, "4242424242424242").await;
    services.order_becomes(behind, "delivered", "paid").await;
    assert_eq!(services.order_becomes(id, "delivered", "paid").await, order);
    assert_eq!(services.payment_becomes(id, "paid").await, payment);
    services.count_becomes("select count(*) from payments.parked", 0).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_cancel_that_overtakes_its_create_wins(database: PgPool) {
    let (services, hands) = (Services::start(database).await, Hands::new().await);
    let id = shared_events::ids::OrderId::generate();
    // Both services are up when the first order has gone through.
    services.place_order().await;
    services.count_becomes("select count(*) from payments.payments", 1).await;

    hands.publish(&services, CANCEL, &event(CANCEL, id, &json!({"orderId": id, "reason": "user"}))).await;
    services.count_becomes("select count(*) from payments.payments where status = 'cancelled'", 1).await;
    let create = json!({"orderId": id, "createdBy": "somerandomuserid", "bill": 7, "currency": "EUR"});
    hands.publish(&services, CREATE, &event(CREATE, id, &create)).await;
    let payment = services.payment_becomes(id, "cancelled").await;
    assert_eq!((&payment["bill"], &payment["currency"]), (&json!(7), &json!("EUR")));
    assert_eq!(services.pay(id, "4242424242424242").await.0, 409);
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn messages_that_cannot_be_applied_are_parked_with_a_reason(database: PgPool) {
    let (services, hands) = (Services::start(database).await, Hands::new().await);
    let id = services.place_order().await;
    services.payment_becomes(id, "pending").await;
    let other_bill = json!({"orderId": id, "createdBy": "somerandomuserid", "bill": 1, "currency": "USD"});
    let negative = json!({"orderId": id, "createdBy": "somerandomuserid", "bill": -1, "currency": "USD"});
    let other_subject = json!({"orderId": uuid::Uuid::now_v7(), "createdBy": "u", "bill": 1, "currency": "USD"});
    for body in [
        b"no json \x00\xff".to_vec(),
        b"{}".to_vec(),
        event(CANCEL, id, &other_bill),
        event(CREATE, id, &other_subject),
        event(CREATE, id, &other_bill),
        event(
            CREATE,
            shared_events::ids::OrderId(uuid::Uuid::nil()),
            &replace(&negative, "orderId", uuid::Uuid::nil()),
        ),
    ] {
        hands.publish(&services, CREATE, &body).await;
    }
    services.count_becomes("select count(*) from payments.parked where reason like 'malformed%'", 4).await;
    services.count_becomes("select count(*) from payments.parked where reason like 'impossible%'", 1).await;
    services.count_becomes("select count(*) from payments.parked where reason like '%refused it%'", 1).await;
    services.count_becomes("select count(*) from payments.parked where message_id = 'from-a-test'", 6).await;

    let unknown = uuid::Uuid::now_v7();
    let unknown_order = json!({"orderId": unknown, "paymentId": unknown, "status": "paid", "version": 3,
                               "bill": 1, "currency": "USD"});
    let unknown = shared_events::ids::OrderId(unknown);
    hands.publish(&services, PROCESSED, &event(PROCESSED, unknown, &unknown_order)).await;
    services.count_becomes("select count(*) from orders.parked where reason like 'impossible%'", 1).await;
    // The queues go on.
    assert_eq!(services.pay(id, "4242424242424242").await.0, 200);
    services.order_becomes(id, "delivered", "paid").await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn of_a_batch_in_one_message_what_cannot_be_applied_is_parked_alone(database: PgPool) {
    let (services, hands) = (Services::start(database).await, Hands::new().await);
    let known = services.place_order().await;
    services.payment_becomes(known, "pending").await;
    let new = [(); 3].map(|()| shared_events::ids::OrderId::generate());
    let create =
        |id, bill: i64| json!({"orderId": id, "createdBy": "somerandomuserid", "bill": bill, "currency": "USD"});
    let events = [
        event(CREATE, new[0], &create(new[0], 1)),
        event(CREATE, known, &create(known, 1)),
        event(CREATE, new[1], &create(new[1], 2)),
        b"{}".to_vec(),
        event(CREATE, new[2], &create(new[2], 3)),
    ];
    hands.publish(&services, CREATE, &[b"[".as_slice(), &events.join(b",".as_slice()), b"]"].concat()).await;
    for id in new {
        services.payment_becomes(id, "pending").await;
    }
    services.count_becomes("select count(*) from payments.parked where reason like 'malformed%'", 1).await;
    services.count_becomes("select count(*) from payments.parked where reason like 'impossible%'", 1).await;
    services.count_becomes("select count(*) from payments.parked", 2).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_a_queue_gave_up_on_is_parked(database: PgPool) {
    let (services, hands) = (Services::start(database).await, Hands::new().await);
    services.place_order().await;
    services.count_becomes("select count(*) from payments.payments", 1).await;
    let dead_queue = services.topology.dead_queue(CREATE);
    hands.publish_to("", &dead_queue, b"given up").await;
    services.count_becomes("select count(*) from payments.parked where reason like '%gave up%'", 1).await;
    assert!(hands.is_empty_soon(&dead_queue).await);
    services.stop().await;
}

fn replace(data: &Value, field: &str, value: uuid::Uuid) -> Value {
    let mut data = data.clone();
    data[field] = json!(value);
    data
}
