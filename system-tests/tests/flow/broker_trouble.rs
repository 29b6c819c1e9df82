//! A broker that is away, or that forgets.

use std::time::Duration;

use sqlx::PgPool;

use crate::broker::Hands;
use crate::link::Link;
use crate::services::{DEADLINE, Services};

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
        assert_eq!(hands.lose(&queue).await, messages);
    }
    let _mended = cut.mend().await;
    services.payment_becomes(placed, "pending").await;
    services.order_becomes(cancelled, "cancelled", "cancelled").await;

    // On the way to the orders service.
    let cut = to_orders.cut().await;
    assert_eq!(services.pay(paid, "4242424242424242").await.0, 200);
    let queue = services.topology.queue("payment-processed-event");
    assert!(hands.holds_soon(&queue, 1).await);
    assert_eq!(hands.lose(&queue).await, 1);
    let _mended = cut.mend().await;
    services.order_becomes(paid, "delivered", "paid").await;

    services.count_becomes("select count(*) from orders.outbox", 0).await;
    services.count_becomes("select count(*) from payments.outbox", 0).await;
    services.stop().await;
}

/// A way to the broker that can be cut.
struct Link {
    amqp_url: String,
    address: std::net::SocketAddr,
    forwarding: JoinSet<()>,
}

/// A [`Link`] that is cut: connecting is refused.
struct CutLink {
    address: std::net::SocketAddr,
}

impl Link {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let url = amqp_url();
        let broker = broker_address(&url);
        let amqp_url = url.replace(&broker, &address.to_string());
        Self { amqp_url, address, forwarding: forward(listener, broker) }
    }

    async fn cut(mut self) -> CutLink {
        self.forwarding.shutdown().await;
        CutLink { address: self.address }
    }
}

impl CutLink {
    async fn mend(self) -> JoinSet<()> {
        // The address may be held for a moment by connections that are just going down.
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        forward(listener, broker_address(&amqp_url()))
    }
}

fn broker_address(url: &str) -> String {
    let after_login = url.split('@').nth(1).expect("AMQP_URL names a user");
    after_login.split('/').next().expect("AMQP_URL names a host").to_owned()
}

/// Forwards until the tasks are dropped, and then drops every connection with them.
fn forward(listener: TcpListener, broker: String) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let broker = broker.clone();
            connections.spawn(async move {
                if let Ok(mut server) = TcpStream::connect(broker).await {
                    drop(copy_bidirectional(&mut client, &mut server).await);
                }
            });
        }
    });
    tasks
}
