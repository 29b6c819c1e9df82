//! What a gateway in front of several replicas meets when one of them begins to listen, and when it stops.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use service_kit::http::{self, Limits};
use service_kit::listening;
use service_kit::metrics::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_service_refuses_connections_until_it_listens_and_after_its_stop() {
    let socket = listening::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let address = socket.local_addr().expect("an address");
    assert!(is_refused(address).await, "it let somebody in before it listened");
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listening::listen(socket).expect("it listens"), stop.clone()));
    assert!(!is_refused(address).await, "it listens and let nobody in");
    stop.cancel();
    serving.await.expect("no panic");
    assert!(is_refused(address).await, "it let somebody in after its end");
}

#[tokio::test]
async fn an_open_connection_is_answered_after_the_stop_and_then_closed() {
    let socket = listening::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let address = socket.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listening::listen(socket).expect("it listens"), stop.clone()));
    let mut connection = TcpStream::connect(address).await.expect("it listens");
    let first = ask(&mut connection).await;
    assert!(first.starts_with("HTTP/1.1 200") && !first.contains("connection: close"), "{first}");
    stop.cancel();
    while !is_refused(address).await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let last = ask(&mut connection).await;
    assert!(last.starts_with("HTTP/1.1 200") && last.contains("connection: close"), "{last}");
    assert_eq!(connection.read(&mut [0]).await.expect("an orderly end"), 0);
    serving.await.expect("no panic");
}

async fn serve(listener: tokio::net::TcpListener, stop: CancellationToken) {
    let limits = Limits { request_timeout: Duration::from_secs(5), max_concurrent_requests: 8 };
    let routes = Router::new().route("/", get(async || "here"));
    http::serve(listener, routes, limits, Metrics::default(), stop).await.expect("an orderly end");
}

async fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_err_and(|problem| problem.kind() == ErrorKind::ConnectionRefused)
}

async fn ask(connection: &mut TcpStream) -> String {
    connection.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it is sent");
    let mut answer = String::new();
    while !answer.ends_with("here") {
        let mut bytes = [0; 1024];
        let count = connection.read(&mut bytes).await.expect("it is answered");
        assert!(count > 0, "hung up after: {answer}");
        answer.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    answer
}
