//! More requests at a time than a service works on.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use service_kit::http::{Limits, with_conventions};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

#[tokio::test]
async fn what_is_too_much_is_refused_at_once_and_what_was_accepted_is_finished() {
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (handler_gate, handler_begun) = (Arc::clone(&gate), Arc::clone(&begun));
    let handler = move || async move {
        handler_begun.add_permits(1);
        handler_gate.acquire().await.expect("the gate stays").forget();
    };
    let limits = Limits { request_timeout: Duration::from_mins(1), max_concurrent_requests: 2 };
    let routes = with_conventions(Router::new().route("/", get(handler)), limits, &TaskTracker::new());
    let send = || {
        let request = Request::get("/").body(Body::empty()).expect("a request");
        tokio::spawn(routes.clone().oneshot(request))
    };

    let (stays, hangs_up) = (send(), send());
    begun.acquire_many(2).await.expect("both are worked on").forget();
    // A client that goes away leaves its work behind.
    hangs_up.abort();
    let refused = send().await.expect("no panic").expect("an answer");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["content-type"], "application/problem+json");

    gate.add_permits(3);
    assert_eq!(stays.await.expect("no panic").expect("an answer").status(), StatusCode::OK);
    // Its place is free once the work is done.
    let goes_on = async { while send().await.expect("no panic").expect("an answer").status() != StatusCode::OK {} };
    tokio::time::timeout(Duration::from_mins(1), goes_on).await.expect("requests are taken again");
}
