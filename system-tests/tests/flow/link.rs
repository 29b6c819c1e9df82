//! A way to the broker that a test can cut.

use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::services::amqp_url;

/// A way to the broker that can be cut.
pub struct Link {
    pub amqp_url: String,
    address: std::net::SocketAddr,
    forwarding: JoinSet<()>,
}

/// A [`Link`] that is cut: connecting is refused.
pub struct CutLink {
    address: std::net::SocketAddr,
}

impl Link {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let url = amqp_url();
        let broker = broker_address(&url);
        let amqp_url = url.replace(&broker, &address.to_string());
        Self { amqp_url, address, forwarding: forward(listener, broker) }
    }

    pub async fn cut(mut self) -> CutLink {
        self.forwarding.shutdown().await;
        CutLink { address: self.address }
    }
}

impl CutLink {
    pub async fn mend(self) -> JoinSet<()> {
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
