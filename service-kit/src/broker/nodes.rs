//! The nodes of RabbitMQ that a service may connect to, and how each is reached.

use std::fmt;
use std::iter::Cycle;
use std::path::Path;
use std::time::Duration;
use std::vec::IntoIter;

use anyhow::{Context, bail, ensure};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::encryption::Encryption;

/// The broker notices a dead client, and a client a dead broker, after two missed heartbeats.
const HEARTBEAT_SECONDS: u16 = 10;
/// lapin keeps 64 times as much for each connection. A larger message travels in several frames.
const FRAME_BYTES: u32 = 32 * 1024;
const PREFLIGHT_DEADLINE: Duration = Duration::from_secs(3);
const NO_URL: &str =
    "AMQP_URL has to be as amqp://user:password@host:5672/%2f, with one host or several: host:5672,host:5672";

/// One node.
#[derive(Clone)]
pub(super) struct Node {
    uri: AMQPUri,
    encryption: Option<Encryption>,
}

/// The nodes of a URL, which may name several hosts: `amqp://user:password@one:5672,two:5672/%2f`.
pub(super) fn of_url(url: &str, authorities: Option<&Path>) -> anyhow::Result<Vec<Node>> {
    urls(url)?.iter().map(|url| Node::of_url(url, authorities)).collect()
}

/// Nodes again and again.
pub(super) type Turns = Cycle<IntoIter<Node>>;

/// All of them again and again, each time that somebody asks in another order: so the services spread over the nodes, and
/// after one that is away, or withholds something, comes another one.
pub(super) fn in_turn(nodes: &[Node]) -> Turns {
    let mut nodes = nodes.to_vec();
    nodes.sort_by_cached_key(|_| Uuid::new_v4());
    nodes.into_iter().cycle()
}

/// A URL for each host.
fn urls(url: &str) -> anyhow::Result<Vec<String>> {
    let (scheme, rest) = url.split_once("://").context(NO_URL)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (login, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let of_host = |host: &str| {
        // Otherwise it would be taken for localhost.
        ensure!(!host.is_empty() && !host.starts_with(':'), NO_URL);
        Ok(format!("{scheme}://{login}{host}{path}"))
    };
    hosts.split(',').map(of_host).collect()
}

impl Node {
    fn of_url(url: &str, authorities: Option<&Path>) -> anyhow::Result<Self> {
        // What the parser says about it may quote the password.
        let mut uri: AMQPUri = url.parse().ok().context(NO_URL)?;
        uri.query.heartbeat = Some(HEARTBEAT_SECONDS);
        uri.query.frame_max = Some(FRAME_BYTES);
        let encryption = encryption(&uri, authorities)?;
        // What lapin connects to is encrypted already.
        uri.scheme = AMQPScheme::AMQP;
        Ok(Self { uri, encryption })
    }

    /// Asks for the broker's first frame over a socket of our own: lapin's connect hangs for ever on a stopped broker.
    pub(super) async fn preflight(&self) -> anyhow::Result<()> {
        let authority = &self.uri.authority;
        let handshake = async {
            let socket = TcpStream::connect((authority.host.as_str(), authority.port)).await?;
            match self.encryption.clone() {
                Some(encryption) => first_byte(encryption.over(socket).await?).await,
                None => first_byte(socket).await,
            }
        };
        let frame_type = tokio::time::timeout(PREFLIGHT_DEADLINE, handshake).await.context("no answer")??;
        // A method frame, connection.start; anything else is no AMQP 0-9-1 broker.
        ensure!(frame_type == 1, "this is no AMQP 0-9-1");
        Ok(())
    }

    /// Takes as long as it takes.
    pub(super) async fn connect(self, properties: ConnectionProperties) -> lapin::Result<Connection> {
        match self.encryption {
            Some(encryption) => Connection::connect_uri_with_runtime(self.uri, properties, encryption.runtime()).await,
            None => Connection::connect_uri(self.uri, properties).await,
        }
    }
}

/// Where it is, without the login.
impl fmt::Display for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.uri.authority.host, self.uri.authority.port)
    }
}

/// How a node is reached, if not in plain text. The settings have to agree on it.
fn encryption(uri: &AMQPUri, authorities: Option<&Path>) -> anyhow::Result<Option<Encryption>> {
    match (&uri.scheme, authorities) {
        (AMQPScheme::AMQP, None) => Ok(None),
        (AMQPScheme::AMQP, Some(_)) => bail!("AMQP_CA_FILE is set, but AMQP_URL does not begin with amqps"),
        (AMQPScheme::AMQPS, None) => bail!("AMQP_URL begins with amqps, which takes AMQP_CA_FILE"),
        (AMQPScheme::AMQPS, Some(file)) => {
            let encryption = Encryption::to(&uri.authority.host, file);
            encryption.map(Some).with_context(|| format!("AMQP_CA_FILE = {}", file.display()))
        }
    }
}

/// What a broker answers to the protocol header.
async fn first_byte(mut socket: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<u8> {
    socket.write_all(b"AMQP\x00\x00\x09\x01").await?;
    socket.flush().await?;
    socket.read_u8().await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn addresses(url: &str) -> Vec<String> {
        of_url(url, None).expect("a sound URL").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_url_may_name_several_hosts_of_one_login() {
        assert_eq!(addresses("amqp://one"), ["one:5672"]);
        assert_eq!(
            addresses("amqp://u:p@one:17,two,127.0.0.1:19/%2f?channel_max=9"),
            ["one:17", "two:5672", "127.0.0.1:19"]
        );
        for node in of_url("amqp://user:a%2C%40b@one:17,two:18/shop%2Feu", None).expect("a sound URL") {
            let AMQPUri { authority, vhost, .. } = node.uri;
            let login = (authority.userinfo.username.as_str(), authority.userinfo.password.as_str());
            assert_eq!((login, vhost.as_str()), (("user", "a,@b"), "shop/eu"));
        }
    }

    #[test]
    fn what_is_no_host_is_refused_without_telling_the_password() {
        for url in [
            "amqp://user:secret@one,/%2f",
            "amqp://user:secret@:17,one/%2f",
            "amqp://user:secret@one:17,two:x/%2f",
            "secret://user:secret@one",
            "user:secret@one,two",
            "",
        ] {
            let refusal = of_url(url, None).err().map(|problem| format!("{problem:#}"));
            assert_eq!(refusal.as_deref(), Some(NO_URL), "{url}");
        }
    }

    #[test]
    fn every_node_has_its_turn_in_one_order_or_another() {
        let nodes = of_url("amqp://one,two,three", None).expect("a sound URL");
        let turns = || in_turn(&nodes).take(6).map(|node| node.to_string()).collect::<Vec<_>>();
        for _ in 0..20 {
            let turns = turns();
            assert_eq!(turns[..3], turns[3..]);
            assert_eq!(turns.iter().collect::<BTreeSet<_>>().len(), 3);
        }
        let orders: BTreeSet<_> = std::iter::repeat_with(turns).take(200).collect();
        assert_eq!(orders.len(), 6);
    }
}
