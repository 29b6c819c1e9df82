//! How a service begins to listen and how it ends, so that a restart costs a gateway with several replicas no request.
//!
//! A gateway can give to another replica only what this one has not taken: it must not send a POST twice, so a request
//! that is taken and then not answered is lost to its client. A service therefore listens as soon as it can answer and
//! no earlier. When it is told to stop it listens no longer, but goes on to answer on connections that are open, and
//! asks with each answer that they be closed. Those that are idle it closes itself only after a while: when the gateway
//! has just sent a request on one, that would be lost.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request};
use axum::response::Response;
use axum::serve::Listener;
use futures_util::TryFutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long after the stop idle connections are kept at most. A gateway that is busy has used them all by then.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long any connection may go on after that; half-sent requests would hold it for ever.
const DRAIN_DEADLINE: Duration = Duration::from_secs(3);
/// As many as the gateway lets through, of the shortest: more are refused without a word, but those are refused in words.
const MAX_HEADER_LINES: usize = 8192;

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
pub(crate) async fn serve(mut listener: TcpListener, app: Router, stop: CancellationToken) {
    let stopping = stop.clone();
    let asking = move |response: Response| if stopping.is_cancelled() { ask_to_close(response) } else { response };
    let app = TowerToHyperService::new(ServiceExt::<Request<Incoming>>::map_response(app, asking));
    let mut http = http1::Builder::new();
    // A header that cannot be read is as good as none; one that matters is refused by the gateway.
    http.max_headers(MAX_HEADER_LINES).ignore_invalid_headers(true);
    let (open, endings) = (TaskTracker::new(), GracefulShutdown::new());
    loop {
        let (stream, _) = tokio::select! {
            // Also at the stop, those that wait already come first: the end would hang up on them.
            biased;
            accepted = Listener::accept(&mut listener) => accepted,
            () = stop.cancelled() => break,
        };
        // Nagle's algorithm would hold small answers back.
        if let Err(problem) = stream.set_nodelay(true) {
            warn!(%problem, "TCP_NODELAY cannot be set");
        }
        let connection = endings.watch(http.serve_connection(TokioIo::new(stream), app.clone()));
        // As one future: a block that awaits another one is twice as large, for each connection.
        open.spawn(connection.unwrap_or_else(|problem| debug!(%problem, "a connection has failed")));
    }
    drop(listener);
    open.close();
    // That some are left is what the next step is for.
    drop(timeout(FAREWELL, open.wait()).await);
    if timeout(DRAIN_DEADLINE, endings.shutdown()).await.is_err() {
        warn!("connections were still open at the stop");
    }
}

/// After the stop, each answer is the last one on its connection.
fn ask_to_close(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
