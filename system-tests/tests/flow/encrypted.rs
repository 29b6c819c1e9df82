//! Servers that are reached encrypted, with certificates of an authority of the tests' own.

use service_kit::testing::authority::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What PostgreSQL is asked first by who wants to be encrypted
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Who speaks first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Amqp,
    Postgres,
}

/// A server's encrypted front.
pub struct Front {
    pub port: u16,
    /// How many clients have trusted it, and how many have not.
    handshakes: watch::Receiver<(usize, usize)>,
    _forwarding: JoinSet<()>,
}

impl Front {
    /// In front of the server at `address`, as `host`.
    pub async fn of(address: String, protocol: Protocol, authority: &Authority, host: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let acceptor = authority.acceptor(&[host]);
        let (count, handshakes) = watch::channel((0, 0));
        let mut forwarding = JoinSet::new();
        forwarding.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (address, acceptor, count) = (address.clone(), acceptor.clone(), count.clone());
                connections.spawn(async move {
                    let encrypted = accept(client, protocol, &acceptor).await;
                    let is_trusted = encrypted.is_ok();
                    count.send_modify(|(trusted, refused)| *if is_trusted { trusted } else { refused } += 1);
                    if let (Ok(mut client), Ok(mut server)) = (encrypted, TcpStream::connect(address).await) {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self { port, handshakes, _forwarding: forwarding }
    }

    /// Comes back once a client has turned away twice; none may have trusted the server.
    pub async fn is_refused(&mut self) {
        let handshakes = self.handshakes.wait_for(|(trusted, refused)| *trusted > 0 || *refused >= 2).await;
        assert_eq!(handshakes.expect("the front is there").0, 0, "a client has trusted it");
    }

    /// Whether any client has trusted it.
    pub fn is_trusted(&self) -> bool {
        self.handshakes.borrow().0 > 0
    }
}

async fn accept(
    mut client: TcpStream,
    protocol: Protocol,
    acceptor: &TlsAcceptor,
) -> std::io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    if protocol == Protocol::Postgres {
        let mut asked = [0; 8];
        client.read_exact(&mut asked).await?;
        assert_eq!(asked, SSL_REQUEST, "a client speaks before it is encrypted");
        client.write_all(b"S").await?;
    }
    acceptor.accept(client).await
}
