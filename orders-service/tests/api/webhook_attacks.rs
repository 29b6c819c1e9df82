//! Receivers of webhooks that fail, stall and lie, and where nothing may go.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use axum::http::{HeaderName, Method, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use orders_service::webhooks::client::{Client, Failure};
use orders_service::webhooks::lease;
use orders_service::webhooks::target::Targets;
use serde_json::{Value, json};
use service_kit::testing::TOKEN;
use service_kit::testing::authority::Authority;
use service_kit::testing::receiver::{Receiver, Reply};
use sqlx::PgPool;

use crate::helpers::TestApp;
use crate::webhook_service::{TIMEOUT, WEBHOOKS, start, text};
use crate::webhook_wire::Wire;

#[sqlx::test(migrations = false)]
async fn whatever_comes_from_a_receiver_is_judged_by_its_status_or_by_its_absence(database: PgPool) {
    let service = start(&database).await;
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(500));
    let long_header = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(1 << 20));
    let cases = [
        ("is silent", Wire::silent(), "no answer in time"),
        ("does not even read", Wire::deaf(), "no answer in time"),
        ("drips a head for ever", Wire::says("HTTP/1.1 200 OK\r\n").and_drips("a: b\r\n"), "no answer in time"),
        (
            "asks for patience for ever",
            Wire::silent().and_drips("HTTP/1.1 102 Processing\r\n\r\n"),
            "no answer in time",
        ),
        ("hangs up", Wire::says(""), "no HTTP answer"),
        ("hangs up within the head", Wire::says("HTTP/1.1 200 OK\r\nContent-"), "no HTTP answer"),
        ("speaks something else", Wire::says("SSH-2.0-OpenSSH_9.2\r\n"), "no HTTP answer"),
        ("has too many headers", Wire::says(&many_headers), "no HTTP answer"),
        ("has a header without an end", Wire::says(&long_header), "no HTTP answer"),
        ("has no status", Wire::says("HTTP/1.1 0 OK\r\n\r\n"), "no HTTP answer"),
        (
            "contradicts itself",
            Wire::says("HTTP/1.1 500 \r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            "no HTTP answer",
        ),
        ("drips a body for ever", Wire::says("HTTP/1.1 200 OK\r\n\r\n").and_drips("more"), "delivered"),
        (
            "promises a body",
            Wire::says("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n").and_drips(""),
            "delivered",
        ),
        ("hangs up within the body", Wire::says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nmore"), "delivered"),
        ("is old", Wire::says("HTTP/1.0 200 OK\r\n\r\n"), "delivered"),
    ];
    let mut webhooks = Vec::new();
    for (what, wire, outcome) in cases {
        // A user may have ten webhooks.
        let webhook = service.webhook(json!({"url": wire.receive().await})).await;
        webhooks.push((what, outcome, webhook));
        if webhooks.len() == 10 {
            assert_outcomes(&service, &mut webhooks).await;
        }
    }
    assert_outcomes(&service, &mut webhooks).await;
}

/// Tells all of them of an order; what becomes of that. Then they are gone.
async fn assert_outcomes(service: &TestApp, webhooks: &mut Vec<(&str, &str, Value)>) {
    service.placed_order().await;
    service.deliver().await;
    for (what, expected, webhook) in webhooks.drain(..) {
        let delivery = service.deliveries(&webhook).await.remove(0);
        let outcome = if delivery["status"] == "delivered" { "delivered" } else { text(&delivery["error"]) };
        assert!(outcome.starts_with(expected), "a receiver that {what}: {delivery}");
        let path = format!("{WEBHOOKS}/{}", text(&webhook["id"]));
        service.client.send(Method::DELETE, &path, TOKEN, &Value::Null).await.expect(StatusCode::OK);
    }
}

#[sqlx::test(migrations = false)]
async fn a_receiver_is_told_only_if_somebody_trusted_vouches_for_its_name(database: PgPool) {
    let service = start(&database).await;
    let (ours, theirs) = (Authority::new(), Authority::new());
    let names: Vec<String> = (0..1000).map(|number| format!("shop-{number}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (receiver, why) in [
        (Receiver::encrypted(&theirs, &["localhost"]).await, ""),
        (Receiver::encrypted(&ours, &["elsewhere.example"]).await, "certificate not valid for name \"localhost\""),
        (Receiver::encrypted(&ours, &names).await, "certificate not valid for name \"localhost\""),
    ] {
        let delivery = told_by_https(&service, &receiver, Some(&ours)).await;
        let error = text(&delivery["error"]);
        let expected = format!("no encrypted connection: invalid peer certificate: {why}");
        // However many names the certificate has.
        assert!(error.starts_with(&expected) && error.len() < 300, "{error}");
        assert_eq!(receiver.count(), 0);
    }
    let plain = Receiver::start().await;
    let delivery = told_by_https(&service, &plain, Some(&ours)).await;
    assert!(text(&delivery["error"]).starts_with("no encrypted connection"), "{delivery}");
    let receiver = Receiver::encrypted(&ours, &["localhost"]).await;
    let delivery = told_by_https(&service, &receiver, None).await;
    assert!(text(&delivery["error"]).starts_with("no encrypted connection"), "{delivery}");
    assert_eq!((plain.count(), receiver.count()), (0, 0));
    let delivery = told_by_https(&service, &receiver, Some(&ours)).await;
    assert_eq!((&delivery["status"], receiver.count()), (&json!("delivered"), 1));
}

/// What becomes of an order's message to this receiver, if this authority is trusted besides those of the system.
async fn told_by_https(service: &TestApp, receiver: &Receiver, authority: Option<&Authority>) -> Value {
    let webhook = service.webhook(json!({"url": receiver.url.replace("http:", "https:")})).await;
    service.placed_order().await;
    let file = authority.map(|authority| Path::new(authority.file()));
    service.deliver_with(Client::new(Targets::Any, TIMEOUT, file).expect("a client")).await;
    let delivery = service.deliveries(&webhook).await.remove(0);
    let path = format!("{WEBHOOKS}/{}", text(&webhook["id"]));
    service.client.send(Method::DELETE, &path, TOKEN, &Value::Null).await.expect(StatusCode::OK);
    delivery
}

#[test]
fn a_file_of_authorities_that_has_none_is_refused() {
    for file in ["/nowhere", "/dev/null"] {
        let refusal = Client::new(Targets::Public, TIMEOUT, Some(Path::new(file))).err().expect("a refusal");
        assert!(format!("{refusal:#}").starts_with(&format!("WEBHOOK_CA_FILE = {file}: ")), "{refusal:#}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_receiver_that_asks_for_time_gets_it(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let date = (Utc::now() + TimeDelta::hours(3)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for (path, status, after, hours) in [
        ("seconds", StatusCode::TOO_MANY_REQUESTS, "7200", 2),
        ("date", StatusCode::SERVICE_UNAVAILABLE, date.as_str(), 2),
        ("years", StatusCode::SERVICE_UNAVAILABLE, "99999999999", 23),
    ] {
        receiver.answers(&format!("/{path}"), Reply::NotBefore(status, after.to_owned()));
        let webhook = service.webhook(json!({"url": format!("{}/{path}", receiver.url)})).await;
        service.placed_order().await;
        service.deliver().await;
        let delivery = service.deliveries(&webhook).await.remove(0);
        let at = |name: &str| text(&delivery[name]).parse::<DateTime<Utc>>().expect("a time");
        let pause = at("nextAttemptAt") - at("lastAttemptAt");
        assert!(pause >= TimeDelta::hours(hours) && pause <= TimeDelta::hours(24), "{after}: {pause}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_redirect_is_not_followed_and_an_endless_answer_not_read(database: PgPool) {
    let (service, receiver, other) = (start(&database).await, Receiver::start().await, Receiver::start().await);
    let redirected = service.webhook(json!({"url": format!("{}/redirect", receiver.url)})).await;
    let endless = service.webhook(json!({"url": format!("{}/endless", receiver.url)})).await;
    receiver.answers("/redirect", Reply::RedirectTo(other.url.clone()));
    receiver.answers("/endless", Reply::Endless);
    service.placed_order().await;
    service.deliver().await;
    assert_eq!((receiver.count(), other.count()), (2, 0));
    assert_eq!(service.deliveries(&redirected).await[0]["responseStatus"], 307);
    assert_eq!(service.deliveries(&endless).await[0]["status"], "delivered");
}

#[sqlx::test(migrations = false)]
async fn who_does_not_answer_keeps_nobody_else_waiting(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    for path in ["stalled", "quick"] {
        service.webhook(json!({"url": format!("{}/{path}", receiver.url)})).await;
    }
    receiver.answers("/stalled", Reply::Never);
    for _ in 0..20 {
        service.placed_order().await;
    }
    service.fan_out().await;
    // Longer than the test may take.
    let running = tokio::spawn(service.sending(Duration::from_mins(5)).run());
    let all_quick = async {
        while receiver.count_at("/quick") < 20 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), all_quick).await.expect("the quick one is told of everything");
    assert!(receiver.count_at("/stalled") <= 4, "the other one is still being waited for");
    running.abort();
}

#[sqlx::test(migrations = false)]
async fn one_that_has_failed_is_not_tried_again_before_those_who_have_waited(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    receiver.answers("/failing", Reply::Status(StatusCode::INTERNAL_SERVER_ERROR));
    service.webhook(json!({"url": format!("{}/failing", receiver.url)})).await;
    // More than are sent in one turn.
    for _ in 0..20 {
        service.placed_order().await;
    }
    service.fan_out().await;
    let waiting = service.webhook(json!({"url": format!("{}/waiting", receiver.url)})).await;
    service.placed_order().await;
    service.fan_out().await;
    let database = &service.app.database;
    let first = lease::take(database, 1).await.expect("the database answers").remove(0);
    service.sending(TIMEOUT).turn(&first).await.expect("the database answers");
    let second = lease::take(database, 1).await.expect("the database answers").remove(0);
    assert_eq!(second.id.to_string(), text(&waiting["id"]));
    assert!(first.id != second.id && receiver.count_at("/failing") < 20, "it is due again");
}

#[sqlx::test(migrations = false)]
async fn a_webhook_that_is_disabled_is_sent_nothing_more_although_a_replica_has_begun(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    service.placed_order().await;
    service.fan_out().await;
    let leased = lease::take(&service.app.database, 1).await.expect("the database answers").remove(0);
    let path = format!("{WEBHOOKS}/{}", text(&webhook["id"]));
    service.post(&format!("{path}/disable")).await;
    service.sending(TIMEOUT).turn(&leased).await.expect("the database answers");
    assert_eq!(receiver.count(), 0);
    service.post(&format!("{path}/enable")).await;
    service.deliver().await;
    assert_eq!(receiver.count(), 1, "what was due is sent then");
}

#[sqlx::test(migrations = false)]
async fn nothing_goes_to_addresses_that_are_not_public(database: PgPool) {
    let service = TestApp::start(database).await;
    for url in [
        "http://shop.example/",
        "https://127.0.0.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://localhost:8080/",
        "https://user@shop.example/",
        "ftp://shop.example",
        "shop",
    ] {
        let refused = service.client.send(Method::POST, WEBHOOKS, TOKEN, &json!({"url": url})).await;
        let problem = refused.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
        assert_eq!(
            (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
            (&json!("#/url"), &json!("unsafe_url")),
            "{url}"
        );
    }
    // What a name leads to is looked at when it is known: these are names of 127.0.0.1.
    let client = Client::new(Targets::Public, TIMEOUT, None).expect("a client");
    for url in
        ["https://2130706433/", "https://127.1/", "https://0x7f000001/", "https://0177.0.0.1/", "https://127.0.0.1./"]
    {
        assert_eq!(client.post(url, headers(), String::new()).await, Err(Failure::NoAddress), "{url}");
    }
}

fn headers() -> [(HeaderName, String); 3] {
    ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| (HeaderName::from_static(name), String::new()))
}

/// The address that a name leads to when it is looked up is the one that is checked and connected to, whatever the name
/// leads to a moment later.
#[tokio::test]
async fn a_name_is_looked_up_once_so_that_it_cannot_change_between_the_check_and_the_connection() {
    let (checked, later) = (Receiver::start().await, Receiver::start().await);
    let address = |receiver: &Receiver| receiver.url["http://".len()..].parse::<SocketAddr>().expect("an address");
    let answers = Mutex::new(vec![address(&later), address(&checked)]);
    // As a name server does whose owner is an attacker: each time something else.
    let look_up = async |host: String, _: u16| {
        assert_eq!(host, "rebinding.example");
        Ok(vec![answers.lock().expect("no panic").pop().expect("nobody asks again and again")])
    };
    let url = "http://rebinding.example/";
    let any = Client::new(Targets::Any, TIMEOUT, None).expect("a client");
    let answer = any.post_by(&look_up, url, headers(), String::new()).await.expect("an answer");
    assert_eq!((answer.status, checked.count(), later.count()), (204, 1, 0));

    // And what is not public is not connected to, which this one would have been.
    let public = Client::new(Targets::Public, TIMEOUT, None).expect("a client");
    let url = "https://rebinding.example/";
    assert_eq!(public.post_by(&look_up, url, headers(), String::new()).await, Err(Failure::NoAddress));
    assert_eq!(later.count(), 0);
}
