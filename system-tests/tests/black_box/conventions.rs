//! What every answer has, whoever gives it, and what browsers of other origins get.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{Answer, User};
use crate::own_stack::OwnStack;
use crate::stack;

/// An answer of a service, a refusal of a service, and refusals of the gateway.
fn answers(user: &User) -> Vec<Answer> {
    let too_large = json!({"bill": 1, "reference": "x".repeat(65 * 1024)});
    let answers = [
        ("GET", "/api/orders", Value::Null, 200),
        ("GET", "/api/payments", Value::Null, 200),
        ("GET", "/api/orders/none", Value::Null, 404),
        ("PUT", "/api/orders", Value::Null, 405),
        ("TRACE", "/api/orders", Value::Null, 405),
        ("POST", "/api/orders", json!({"bill": 0}), 422),
        ("POST", "/api/orders", too_large, 413),
        ("GET", "/nothing", Value::Null, 404),
    ];
    let sent = answers.into_iter().map(|(method, path, body, status)| {
        let answer = user.send(method, path, &body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        answer
    });
    sent.collect()
}

#[test]
fn every_answer_has_the_headers_that_protect_it_once() {
    let (_stack, user) = (stack::shared(), User::demo());
    for answer in answers(&user) {
        for (name, value) in [
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
            ("Referrer-Policy", "no-referrer"),
        ] {
            let values: Vec<_> = answer.headers.get_all(name).iter().collect();
            assert_eq!(values, [value], "{name} of {answer:?}");
        }
        assert_eq!(answer.headers.get_all("X-Request-Id").iter().count(), 1, "{answer:?}");
        let absent = ["Strict-Transport-Security", "Access-Control-Allow-Origin", "Vary"];
        assert!(absent.iter().all(|name| answer.header(name).is_none()), "{answer:?}");
        assert_eq!(answer.header("Allow").is_some(), answer.status == 405, "{answer:?}");
    }
}

#[test]
fn a_change_can_be_made_to_depend_on_what_was_read() {
    let (_stack, user) = (stack::shared(), User::demo());
    let id = user.place_order();
    let path = format!("/api/orders/{id}");
    let with = |method: &str, name: &str, value: &str| {
        user.try_send_text(method, &path, None, &[(name, value)]).expect("an answer")
    };
    let etag = user.get(&path).header("ETag").expect("a tag").to_owned();
    assert_eq!(with("GET", "If-None-Match", &etag).status, 304);
    let refused = with("DELETE", "If-Match", "\"0\"");
    refused.assert_problem(412, "precondition_failed");
    let current = refused.header("ETag").expect("the tag of now").to_owned();
    assert_eq!(with("DELETE", "If-Match", &current).status, 200);
    with("GET", "Accept", "text/html").assert_problem(406, "not_acceptable");
}

#[test]
fn the_header_link_leads_through_the_gateway_to_the_next_page() {
    let (_stack, user) = (stack::shared(), User::demo());
    let placed: BTreeSet<_> = (0..3).map(|_| user.place_order().to_string()).collect();
    let mut seen = BTreeSet::new();
    let mut path = "/api/orders?limit=1&createdAfter=2026-01-01T00:00:00Z".to_owned();
    while !placed.is_subset(&seen) {
        let answer = user.get(&path);
        seen.extend(answer.body["data"][0]["id"].as_str().map(str::to_owned));
        let link = answer.header("Link").expect("another page");
        path = link.split(['<', '>']).nth(1).expect("an address").to_owned();
    }
}

#[test]
fn pages_of_an_allowed_origin_may_call_the_api_and_read_what_it_says() {
    let _stack = stack::shared();
    let origins = "https://shop.example,https://admin.example:8443";
    let own = OwnStack::start_with("cors-stack", 1, &[("CORS_ALLOWED_ORIGINS", origins)]);
    let user = User::demo().at(&own.now().gateway);
    let from = |method: &str, path: &str, headers: &[(&str, &str)]| {
        user.try_send_text(method, path, None, headers).expect("an answer")
    };
    for origin in origins.split(',') {
        for (path, status) in [("/api/orders", 200), ("/api/orders/none", 404), ("/nothing", 404)] {
            let answer = from("GET", path, &[("Origin", origin)]);
            assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (status, Some(origin)));
            assert_eq!(answer.header("Vary"), Some("Origin"));
            let exposed = answer.header("Access-Control-Expose-Headers").expect("what pages may read");
            assert!(["ETag", "Link", "Location", "Retry-After"].iter().all(|name| exposed.contains(name)), "{exposed}");
        }
        let asked = [("Origin", origin), ("Access-Control-Request-Method", "DELETE")];
        let preflight = from("OPTIONS", "/api/orders/none", &asked);
        assert_eq!((preflight.status, preflight.header("Access-Control-Allow-Origin")), (204, Some(origin)));
        let (methods, headers) = ("Access-Control-Allow-Methods", "Access-Control-Allow-Headers");
        assert!(preflight.header(methods).is_some_and(|allowed| allowed.contains("DELETE")), "{preflight:?}");
        assert!(preflight.header(headers).is_some_and(|allowed| allowed.contains("Authorization")), "{preflight:?}");
    }
    for origin in ["https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null", origins]
    {
        let answer = from("GET", "/api/orders", &[("Origin", origin)]);
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, None), "{origin}");
        let asked = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        let preflight = from("OPTIONS", "/api/orders", &asked);
        preflight.assert_problem(405, "method_not_allowed");
        assert_eq!(preflight.header("Access-Control-Allow-Origin"), None, "{origin}");
    }
}
