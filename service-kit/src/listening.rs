//! How a service begins to listen and how it ends, so that a restart costs a gateway with several replicas no request.
//!
//! A gateway can give to another replica only what this one has not taken: it must not send a POST twice, so a request
//! that is taken and then not answered is lost to its client. A service therefore listens as soon as it can answer and
//! no earlier. When it is told to stop it listens no longer, but goes on to answer on connections that are open, and
//! asks with each answer that they be closed. Those that are idle it closes itself only after a while: when the gateway
//! has just sent a request on one, that would be lost.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::warn;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long after the stop idle connections are kept at most. A gateway that is busy has used them all by then.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long after the stop any connection may go on; half-sent requests would hold it for ever.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Takes an address and does not listen there yet: whoever comes is refused.
pub fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A successor need not wait until the last connections of its predecessor are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Begins to listen.
pub fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)
}

/// Serves `app` until `stop`, and then what has come by then.
pub(crate) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) -> anyhow::Result<()> {
    let open = TaskTracker::new();
    let app = app.layer(middleware::from_fn_with_state(stop.clone(), ask_to_close));
    let listener = UntilStop { listener: Some(listener), stop: stop.clone(), open: open.clone() };
    let server = axum::serve(listener, app).with_graceful_shutdown(farewell(stop.clone(), open));
    let deadline = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_DEADLINE).await;
    };
    tokio::select! {
        ended = server => ended?,
        () = deadline => warn!("connections were still open at the stop"),
    }
    Ok(())
}

/// Ends when idle connections may be closed, or there are none.
async fn farewell(stop: CancellationToken, open: TaskTracker) {
    stop.cancelled().await;
    open.close();
    // That some are left is what the next step is for.
    drop(tokio::time::timeout(FAREWELL, open.wait()).await);
}

/// Middleware: after the stop, each answer is the last one on its connection.
async fn ask_to_close(State(stop): State<CancellationToken>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if stop.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Listens until the stop.
struct UntilStop {
    listener: Option<TcpListener>,
    stop: CancellationToken,
    open: TaskTracker,
}

impl Listener for UntilStop {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        if let Some(listener) = &mut self.listener {
            tokio::select! {
                // Also at the stop, those that wait already come first: the end would hang up on them.
                biased;
                (stream, address) = Listener::accept(listener) => {
                    // Nagle's algorithm would hold small answers back; axum leaves it on.
                    if let Err(problem) = stream.set_nodelay(true) {
                        warn!(%problem, "TCP_NODELAY cannot be set");
                    }
                    return (Connection { stream, _open: self.open.token() }, address);
                }
                () = self.stop.cancelled() => self.listener = None,
            }
        }
        pending().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.as_ref().ok_or(io::ErrorKind::NotConnected)?.local_addr()
    }
}

/// A connection that is counted as long as it is open.
struct Connection {
    stream: TcpStream,
    _open: TaskTrackerToken,
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context, buffer: &mut ReadBuf) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(task, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(task, bytes)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, task: &mut Context, bytes: &[io::IoSlice]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(task, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(task)
    }
}
