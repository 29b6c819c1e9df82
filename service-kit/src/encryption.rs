//! TLS to RabbitMQ: a runtime for lapin, with which every connection is encrypted and every server has to prove who it is;
//! and how the authorities that vouch for servers are read.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_rs::Tokio;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures_util::{AsyncRead, AsyncWrite, Stream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// The certificates of the authorities in a file, as PEM.
pub fn authorities(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>()?;
    ensure!(!certificates.is_empty(), "there is no certificate as PEM in it");
    Ok(certificates)
}

/// Connects to one host, and only if an authority vouches for it.
#[derive(Clone, Debug)]
pub(crate) struct Encryption {
    host: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Encryption {
    /// Nobody is trusted but the authorities in `file`, which are certificates as PEM.
    pub(crate) fn to(host: &str, file: &Path) -> anyhow::Result<Self> {
        let mut authorities = RootCertStore::empty();
        for certificate in self::authorities(file)? {
            authorities.add(certificate)?;
        }
        let config = ClientConfig::builder().with_root_certificates(authorities).with_no_client_auth();
        let host = ServerName::try_from(host.to_owned()).context("the host of AMQP_URL has no valid name")?;
        Ok(Self { host, config: Arc::new(config) })
    }

    /// Over a connection that is open already.
    pub(crate) async fn over(self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsConnector::from(self.config).connect(self.host, socket).await
    }

    /// A runtime that is this one, but for its connections.
    pub(crate) fn runtime(self) -> async_rs::Runtime<Encrypting> {
        async_rs::Runtime::new(Encrypting { tokio: Tokio::current(), encryption: self })
    }
}

/// The runtime of tokio, with encrypted connections.
#[derive(Clone, Debug)]
pub(crate) struct Encrypting {
    tokio: Tokio,
    encryption: Encryption,
}

impl RuntimeKit for Encrypting {}

impl Executor for Encrypting {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.tokio.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        self.tokio.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(work)
    }
}

impl Reactor for Encrypting {
    type TcpStream = Compat<TlsStream<TcpStream>>;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.tokio.register(socket)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.tokio.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let (connecting, encryption) = (self.tokio.tcp_connect_addr(address), self.encryption.clone());
        async move { Ok(encryption.over(connecting.await?.into_inner()).await?.compat()) }
    }
}
