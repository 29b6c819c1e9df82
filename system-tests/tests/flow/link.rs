//! A way to the broker that a test can cut, or freeze.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::services::{DEADLINE, amqp_url};

/// A way to the broker that can be cut.
pub struct Link {
    pub amqp_url: String,
    address: std::net::SocketAddr,
    forwarding: JoinSet<()>,
    frost: Frost,
    connections: Arc<AtomicU32>,
}

/// The answer to who subscribes begins with it: the method's class and its number.
const CONSUME_OK: [u8; 4] = [0, 60, 0, 21];

/// Whether a link is frozen, and whether it will be.
#[derive(Clone, Default)]
struct Frost {
    frozen: watch::Sender<bool>,
    comes_with_subscription: Arc<AtomicBool>,
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
        let (frost, connections) = (Frost::default(), Arc::default());
        let forwarding = forward(listener, broker, &frost, &connections);
        Self { amqp_url, address, forwarding, frost, connections }
    }

    /// From now on nothing gets through, in either direction, and nobody is told.
    pub fn freeze(&self) {
        self.frost.frozen.send_replace(true);
    }

    /// The same as soon as the broker answers somebody who subscribes, who hears nothing of that either.
    pub fn freeze_at_subscription(&self) {
        self.frost.comes_with_subscription.store(true, Ordering::Relaxed);
    }

    pub async fn is_frozen(&self) {
        let mut frozen = self.frost.frozen.subscribe();
        let waiting = frozen.wait_for(|frozen| *frozen);
        drop(tokio::time::timeout(DEADLINE, waiting).await.expect("the link freezes"));
    }

    /// What was sent meanwhile arrives late.
    pub fn thaw(&self) {
        self.frost.frozen.send_replace(false);
    }

    /// How many have been opened so far.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
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
        forward(listener, broker_address(&amqp_url()), &Frost::default(), &Arc::default())
    }
}

pub fn broker_address(url: &str) -> String {
    let after_login = url.split('@').nth(1).expect("AMQP_URL names a user");
    after_login.split('/').next().expect("AMQP_URL names a host").to_owned()
}

/// Forwards until the tasks are dropped, and then drops every connection with them.
fn forward(listener: TcpListener, broker: String, frost: &Frost, connections_so_far: &Arc<AtomicU32>) -> JoinSet<()> {
    let (frost, so_far) = (frost.clone(), Arc::clone(connections_so_far));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            so_far.fetch_add(1, Ordering::Relaxed);
            let (broker, frost) = (broker.clone(), frost.clone());
            connections.spawn(async move {
                let Ok(server) = TcpStream::connect(broker).await else { return };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                // Either end closes both.
                tokio::select! {
                    () = pass_on(from_client, to_server, frost.clone()) => {}
                    () = pass_on(from_server, to_client, frost) => {}
                }
            });
        }
    });
    tasks
}

async fn pass_on(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, frost: Frost) {
    let mut frozen = frost.frozen.subscribe();
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if buffer[..length].windows(CONSUME_OK.len()).any(|bytes| bytes == CONSUME_OK)
            && frost.comes_with_subscription.swap(false, Ordering::Relaxed)
        {
            frost.frozen.send_replace(true);
        }
        if frozen.wait_for(|frozen| !frozen).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
