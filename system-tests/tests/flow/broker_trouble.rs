//! A broker that is away, or that forgets.

use std::time::Duration;

use sqlx::PgPool;

use crate::broker::Hands;
use crate::link::Link;
use crate::services::{DEADLINE, Services, amqp_url};

#[sqlx::test(migrations = false)]
async fn orders_are_accepted_while_the_broker_is_away_and_go_on_when_it_is_back(database: PgPool) {
    let link = Link::new().await;
    let services = Services::start_with(database, &link.amqp_url, &link.amqp_url).await;
    let before = services.place_order().await;
    services.payment_becomes(before, "pending").await;
    services.count_becomes("select count(*) from orders.outbox", 0).await;

    let cut = link.cut().await;
    let mut placed = Vec::new();
    for _ in 0..10 {
        placed.push(services.place_order().await);
    }
    services.count_becomes("select count(*) from orders.outbox", 10).await;
    let (status, payment) = services.pay(before, "4242424242424242").await;
    assert_eq!(status, 200, "{payment}");

    let _mended = cut.mend().await;
    services.order_becomes(before, "delivered", "paid").await;
    for id in placed {
        services.payment_becomes(id, "pending").await;
        assert_eq!(services.pay(id, "4242424242424242").await.0, 200);
        services.order_becomes(id, "delivered", "paid").await;
    }
    services.count_becomes("select count(*) from orders.outbox", 0).await;
    services.count_becomes("select count(*) from payments.outbox", 0).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_deleted_queue_comes_back_by_itself(database: PgPool) {
    let (services, hands) = (Services::start(database).await, Hands::new().await);
    let before = services.place_order().await;
    services.payment_becomes(before, "pending").await;
    for event in ["payment-create-event", "payment-processed-event"] {
        let queue = services.topology.queue(event);
        hands.delete_queue(&queue).await;
        let came_back = async {
            while !hands.exists(&queue).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, came_back).await.expect("the queue is declared again");
    }
    let after = services.place_order().await;
    for id in [before, after] {
        services.payment_becomes(id, "pending").await;
        assert_eq!(services.pay(id, "4242424242424242").await.0, 200);
        services.order_becomes(id, "delivered", "paid").await;
    }
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_event_that_the_broker_cannot_route_comes_back_and_is_published_again(database: PgPool) {
    let (services, hands) = (Services::start(database).await, Hands::new().await);
    let before = services.place_order().await;
    services.payment_becomes(before, "pending").await;
    for event in ["payment-create-event", "payment-processed-event"] {
        hands.unbind(&services, event).await;
    }
    let after = services.place_order().await;
    services.payment_becomes(after, "pending").await;
    for id in [before, after] {
        assert_eq!(services.pay(id, "4242424242424242").await.0, 200);
        services.order_becomes(id, "delivered", "paid").await;
    }
    services.count_becomes("select count(*) from orders.outbox", 0).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_channel_on_which_the_broker_goes_on_to_refuse_is_given_up_for_another(database: PgPool) {
    let (link, hands) = (Link::new().await, Hands::new().await);
    let services = Services::start_with(database, &link.amqp_url, &amqp_url()).await;
    services.queues_are_declared().await;
    let queue_that_is_full = hands.refuse(&services, "payment-create-event").await;
    let connections = link.connections();
    let placing = async {
        while link.connections() == connections {
            let order = services.place_order().await;
            services.payment_becomes(order, "pending").await;
        }
    };
    tokio::time::timeout(DEADLINE, placing).await.expect("the orders service connects anew");
    hands.delete_queue(&queue_that_is_full).await;
    services.place_order().await;
    services.count_becomes("select count(*) from orders.outbox", 0).await;
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_broker_that_is_frozen_is_left_and_found_again_when_it_thaws(database: PgPool) {
    let link = Link::new().await;
    let services = Services::start_with(database, &link.amqp_url, &link.amqp_url).await;
    let before = services.place_order().await;
    services.payment_becomes(before, "pending").await;

    link.freeze();
    let meanwhile = services.place_order().await;
    assert_eq!(services.pay(before, "4242424242424242").await.0, 200);
    // Both services have given their connections up: the broker hears of it late, as of all the rest.
    services
        .count_becomes("select count(*) from orders.outbox where next_attempt_at > created_at + interval '3 s'", 1)
        .await;
    link.thaw();
    services.order_becomes(before, "delivered", "paid").await;
    services.payment_becomes(meanwhile, "pending").await;
    assert_eq!(services.pay(meanwhile, "4242424242424242").await.0, 200);
    services.order_becomes(meanwhile, "delivered", "paid").await;
    services.count_becomes("select count(*) from orders.outbox", 0).await;
    services.count_becomes("select count(*) from payments.outbox", 0).await;
    services.stop().await;
}

/// It would take messages, and nobody would see them.
#[sqlx::test(migrations = false)]
async fn a_subscription_that_was_given_up_before_its_answer_does_not_live_on(database: PgPool) {
    let (link, hands) = (Link::new().await, Hands::new().await);
    link.freeze_at_subscription();
    let services = Services::start_with(database, &amqp_url(), &link.amqp_url).await;
    link.is_frozen().await;
    let connections = link.connections();
    let given_up = async {
        while link.connections() == connections {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, given_up).await.expect("the payments service connects anew");
    link.thaw();
    let order = services.place_order().await;
    services.payment_becomes(order, "pending").await;
    for event in ["payment-create-event", "payment-cancel-event"] {
        let queue = services.topology.queue(event);
        let alone = async {
            while hands.consumers(&queue).await != 1 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, alone).await.is_ok(), "{event} has another subscription");
    }
    services.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_the_broker_has_confirmed_and_then_loses_is_published_again(database: PgPool) {
    let (to_orders, to_payments, hands) = (Link::new().await, Link::new().await, Hands::new().await);
    let services = Services::start_with(database, &to_orders.amqp_url, &to_payments.amqp_url).await;
    let paid = services.place_order().await;
    services.payment_becomes(paid, "pending").await;

    // On the way to the payments service.
    let cut = to_payments.cut().await;
    let (placed, cancelled) = (services.place_order().await, services.place_order().await);
    assert_eq!(services.cancel(cancelled).await.0, 200);
    for (event, messages) in [("payment-create-event", 2), ("payment-cancel-event", 1)] {
        let queue = services.topology.queue(event);
        assert!(hands.holds_soon(&queue, messages).await, "{event}");
        assert_eq!(hands.purge(&queue).await, messages);
    }
    let _mended = cut.mend().await;
    services.payment_becomes(placed, "pending").await;
    services.order_becomes(cancelled, "cancelled", "cancelled").await;

    // On the way to the orders service.
    let cut = to_orders.cut().await;
    assert_eq!(services.pay(paid, "4242424242424242").await.0, 200);
    let queue = services.topology.queue("payment-processed-event");
    assert!(hands.holds_soon(&queue, 1).await);
    assert_eq!(hands.purge(&queue).await, 1);
    let _mended = cut.mend().await;
    services.order_becomes(paid, "delivered", "paid").await;

    services.count_becomes("select count(*) from orders.outbox", 0).await;
    services.count_becomes("select count(*) from payments.outbox", 0).await;
    services.stop().await;
}
