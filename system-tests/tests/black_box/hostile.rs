//! Requests that no honest client sends, byte by byte, through the gateway: each is refused or answered, none with a 5xx,
//! and whoever comes next is served.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::client::User;
use crate::polling::DEADLINE;
use crate::stack;

const AUTH: &str = "Authorization: thisisajwttoken\r\n";
/// nginx closes what it does not understand; what it waits for comes to an end by this.
const PATIENCE: Duration = DEADLINE;

/// The first answer to these bytes: its status, and its body. Without a status, the connection was closed.
fn answer(bytes: &[u8]) -> (Option<u16>, String) {
    let gateway = stack::gateway_url();
    let address = gateway.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    // What comes after an early refusal may find the connection closed.
    let _ = stream.write_all(bytes);
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Err(problem) if problem.kind() == ErrorKind::WouldBlock => panic!("no end of the answer to {}", show(bytes)),
        _ => {}
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

fn show(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).escape_debug().to_string();
    format!("{shown} ({} bytes)", bytes.len())
}

/// Asserts that the bytes are answered without a 5xx and, where they are refused, with a problem.
fn assert_harmless(bytes: &[u8], expected: &[u16]) {
    let (status, body) = answer(bytes);
    let Some(status) = status else {
        assert!(expected.is_empty(), "{} was not answered", show(bytes));
        return;
    };
    assert!(status < 500 || status == 501 || status == 505, "{status} for {}: {body}", show(bytes));
    assert!(expected.is_empty() || expected.contains(&status), "{status} for {}: {body}", show(bytes));
    if status >= 400 {
        let json = body.find('{').map_or("", |start| &body[start..]);
        let problem: Value =
            serde_json::Deserializer::from_str(json).into_iter().next().and_then(Result::ok).unwrap_or_default();
        assert_eq!(problem["status"], status, "{}: {body}", show(bytes));
        for member in ["type", "title", "detail", "code", "instance", "requestId"] {
            assert!(problem[member].is_string(), "{member} of the answer to {}: {body}", show(bytes));
        }
    }
}

fn assert_served() {
    assert_eq!(User::demo().get("/api/orders?limit=1").status, 200);
}

fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{AUTH}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn get(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{AUTH}{headers}\r\n").into_bytes()
}

#[test]
fn a_request_that_is_no_http_is_refused_as_a_problem() {
    let _stack = stack::shared();
    for (bytes, expected) in [
        (&b"GET /api/orders\r\n\r\n"[..], &[][..]),
        (b"GET /api/orders HTTP/9.9\r\nHost: x\r\n\r\n", &[505]),
        (b"GET /api/orders HTTP/1.1 extra\r\nHost: x\r\n\r\n", &[400]),
        (b"get /api/orders HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
        (b"GET api/orders HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
        (b"GET /api/orders HTTP/1.1\r\n\r\n", &[400]),
        (b"GET /api/orders HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", &[400]),
        (b"GET /api/orders HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]),
        (b"GET /api/\0orders HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
        (b"GET /api/orders HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n", &[400]),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &[400, 405]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400, 405, 505]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS greeting\r\n\r\n", &[400]),
        (b"\xff\xfe\xfd\r\n\r\n", &[400]),
    ] {
        assert_harmless(bytes, expected);
    }
    assert_served();
}

#[test]
fn two_lengths_of_one_body_are_refused_and_smuggle_nothing() {
    let _stack = stack::shared();
    let hidden = "GET /api/nothing HTTP/1.1\r\nHost: x\r\n\r\n";
    let head = format!(
        "POST /api/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{AUTH}Content-Type: application/json\r\n"
    );
    for framing in [
        format!("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Content-Length: 12\r\nContent-Length: 13\r\n\r\n{{\"bill\": 1}} {hidden}"),
        format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\nzz\r\n{hidden}"),
        "Content-Length: -1\r\n\r\n".to_owned(),
        "Content-Length: 99999999999999999999\r\n\r\n".to_owned(),
        "Content-Length: 0x10\r\n\r\n".to_owned(),
    ] {
        let bytes = format!("{head}{framing}");
        assert_harmless(bytes.as_bytes(), &[400, 411, 413, 501]);
    }
    assert_served();
}

#[test]
fn too_long_is_refused_whatever_is_too_long() {
    let _stack = stack::shared();
    let long = "x".repeat(9000);
    assert_harmless(&get(&format!("/api/orders/{long}"), ""), &[414]);
    assert_harmless(&get(&format!("/api/orders?cursor={long}"), ""), &[414]);
    assert_harmless(&get("/api/orders", &format!("A: {long}\r\n")), &[431]);
    assert_harmless(&get("/api/orders", &format!("{long}: a\r\n")), &[431]);
    // Three more come with each.
    assert_harmless(&get("/api/orders", &"A: a\r\n".repeat(97)), &[200]);
    for many in ["A: a\r\n".repeat(110), "A: a\r\n".repeat(5000), "X-Again: aaaaaaaa\r\n".repeat(4000)] {
        assert_harmless(&get("/api/orders", &many), &[431]);
    }
    assert_harmless(&post("/api/orders", &vec![b' '; 65 * 1024]), &[413]);
    let token = format!(
        "GET /api/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        &long[..7000]
    );
    assert_harmless(token.as_bytes(), &[401]);
    assert_served();
}

#[test]
fn headers_that_come_twice_or_say_nonsense_break_nothing() {
    let _stack = stack::shared();
    for (headers, expected) in [
        (AUTH, &[400, 401][..]),
        ("Accept: ,,,;;;q=\r\n", &[200]),
        ("If-None-Match: \"\"\"\"\"\r\n", &[200]),
        ("traceparent: 00-zz\r\ntraceparent: ff\r\n", &[200]),
        ("X-Request-Id: a\r\nX-Request-Id: b\r\n", &[200]),
        ("Range: bytes=0-1\r\n", &[200]),
        ("Expect: 200-maybe\r\n", &[]),
        ("Upgrade: h2c\r\nConnection: Upgrade\r\n", &[]),
        ("X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n", &[200]),
        ("Content-Length: 5\r\n\r\nhello", &[200]),
    ] {
        assert_harmless(&get("/api/orders", headers), expected);
    }
    assert_served();
}

#[test]
fn a_header_that_cannot_be_read_is_refused_or_means_nothing() {
    let _stack = stack::shared();
    for name in ["Authorization", "Accept", "Content-Type", "Idempotency-Key", "If-Match"] {
        for character in ['\x01', '\x1b', '\x7f'] {
            assert_harmless(&get("/api/orders", &format!("{name}: a{character}b\r\n")), &[400]);
            assert_harmless(&get("/api/payments", &format!("{name}: {character}\r\n")), &[400]);
        }
    }
    for header in ["A: a\x01b", "If-None-Match: \x7f", "X-Request-Id: \x1b[31m", "traceparent: \x02", "A: caf\u{e9}"] {
        assert_harmless(&get("/api/orders", &format!("{header}\r\n")), &[200]);
    }
    assert_served();
}

#[test]
fn bodies_that_are_almost_orders_are_refused_as_problems() {
    let _stack = stack::shared();
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let objects = format!("{}1{}", "{\"bill\":".repeat(7000), "}".repeat(7000));
    let numbers =
        ["1e999", "-0", "1.0", "1e3", "-1", "0", "01", "9223372036854775808", "1000000000000", "NaN", "\"1\"", "true"];
    for number in numbers {
        assert_harmless(&post("/api/orders", format!("{{\"bill\": {number}}}").as_bytes()), &[400, 422]);
    }
    for body in [
        &b""[..],
        b"\0",
        b"{\"bill\": 1, \"reference\": \"\0\"}",
        b"{\"bill\": 1, \"reference\": \"\\u0000\"}",
        b"{\"bill\": 1, \"reference\": \"\\ud800\"}",
        b"{\"bill\": 1, \"reference\": \"\xff\xfe\"}",
        b"\xef\xbb\xbf{\"bill\": 1}",
        b"{\"bill\": 1, \"bill\": 2}",
        b"{\"bill\": 1, \"__proto__\": {}}",
        b"[{\"bill\": 1}]",
        b"{\"bill\": 1}{\"bill\": 1}",
        b"null",
        deep.as_bytes(),
        objects.as_bytes(),
    ] {
        assert_harmless(&post("/api/orders", body), &[400, 422]);
        let pay = "/api/payments/pay/0198c5a0-0000-7000-8000-000000000000";
        assert_harmless(&post(pay, body), &[400, 422]);
    }
    assert_served();
}

/// A card and an order in one, so that either service finds most of what it knows.
fn almost_a_body() -> Value {
    json!({
        "bill": 1, "currency": "USD", "reference": "r",
        "items": [{"sku": "s", "description": "d", "quantity": 1, "unitPrice": 1}],
        "creditCardDetails": {"number": "4242424242424242", "cvt": 345, "expiry": "12/2030"},
    })
}

/// What may stand in its place: all that JSON has, and often nearly the right thing.
fn any_json() -> impl Strategy<Value = Value> {
    let nearly = ["USD", "usd", "4242424242424242", "12/30", "31/2/2030", "345", "", "\u{0}", "\u{202e}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,300}".prop_map(Value::from),
        proptest::sample::select(nearly.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[a-zA-Z]{1,8}", inner, 0..5).prop_map(|map| json!(map)),
        ]
    })
}

#[test]
fn any_json_in_any_place_of_a_body_is_answered_without_a_5xx() {
    let _stack = stack::shared();
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let places = ["", "/bill", "/currency", "/reference", "/items", "/items/0", "/items/0/sku", "/items/0/description"];
    let places = [&places[..], &["/items/0/quantity", "/items/0/unitPrice", "/creditCardDetails"]].concat();
    let of_card = ["/creditCardDetails/number", "/creditCardDetails/cvt", "/creditCardDetails/expiry"];
    let place = proptest::sample::select([&places[..], &of_card].concat());
    let outcome = runner.run(&(place, any_json()), |(place, value)| {
        let mut body = almost_a_body();
        *body.pointer_mut(place).expect("a place") = value;
        let (mut order, mut pay) = (body.clone(), body);
        if let (Some(order), Some(pay)) = (order.as_object_mut(), pay.as_object_mut()) {
            order.remove("creditCardDetails");
            pay.retain(|name, _| name == "creditCardDetails");
        }
        assert_harmless(&post("/api/orders", order.to_string().as_bytes()), &[201, 422]);
        let unknown = "/api/payments/pay/0198c5a0-0000-7000-8000-000000000000";
        assert_harmless(&post(unknown, pay.to_string().as_bytes()), &[404, 422]);
        Ok(())
    });
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_served();
}

#[test]
fn any_target_and_any_body_are_answered_without_a_5xx() {
    let _stack = stack::shared();
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let target = "/api/(orders|payments|payments/pay)[/?]?[!-~]{0,40}";
    let body = proptest::collection::vec(any::<u8>(), 0..400);
    let outcome = runner.run(&(target, body, "[ -~]{0,40}"), |(target, body, header)| {
        assert_harmless(&get(&target, &format!("X: {header}\r\nIf-None-Match: {header}\r\n")), &[]);
        assert_harmless(&post(&target, &body), &[]);
        assert_harmless(&[&body[..], b"\r\n\r\n"].concat(), &[]);
        Ok(())
    });
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_served();
}
