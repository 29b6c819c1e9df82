//! The documents of the API behind the gateway, and what the whole system answers held against them.

use std::fs;
use std::path::Path;

use axum::http::Method;
use serde_json::{Value, json};
use service_kit::contract::Contract;
use ureq::Agent;
use ureq::http::{Request, Response};

use crate::client::{EMPTY_CARD, GOOD_CARD, User, card_details};
use crate::stack;

const SCHEMAS: [&str; 3] = ["payment-create-event", "payment-cancel-event", "payment-processed-event"];

/// Gets what is no JSON, or leads elsewhere.
#[track_caller]
pub fn get(path: &str, headers: &[(&str, &str)]) -> (Response<()>, String) {
    let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None);
    let agent: Agent = config.build().into();
    let mut request = Request::get(format!("{}{path}", stack::gateway_url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, mut body) = agent.run(request.body(()).expect("a request")).expect("an answer").into_parts();
    (Response::from_parts(parts, ()), String::from_utf8_lossy(&body.read_to_vec().expect("a whole body")).into_owned())
}

#[track_caller]
pub fn header<'a>(answer: &'a Response<()>, name: &str) -> &'a str {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_else(|| panic!("no {name}: {answer:?}"))
}

#[test]
fn the_documents_are_served_as_they_are_committed() {
    let _stack = stack::shared();
    let public = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/public");
    let schemas = SCHEMAS.map(|event| (format!("/schemas/{event}/1"), format!("schemas/{event}/1.json")));
    let documents = ["openapi", "asyncapi"].map(|name| (format!("/api/{name}.json"), format!("api/{name}.json")));
    for (path, file) in documents.into_iter().chain(schemas) {
        let (answer, body) = get(&path, &[]);
        assert_eq!((answer.status().as_u16(), header(&answer, "Content-Type")), (200, "application/json"), "{path}");
        assert_eq!(body, fs::read_to_string(public.join(&file)).expect("a file"), "{path}");
        for (name, value) in [
            ("Cache-Control", "no-cache"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
        ] {
            let values: Vec<_> = answer.headers().get_all(name).iter().collect();
            assert_eq!(values, [value], "{name} of {path}");
        }
        let (unchanged, _) = get(&path, &[("If-None-Match", header(&answer, "ETag"))]);
        assert_eq!(unchanged.status(), 304, "{path}");
    }
}

#[test]
fn the_pages_need_nothing_from_any_other_server() {
    let _stack = stack::shared();
    for path in ["/api/docs", "/api/docs/", "/api/docs/problems"] {
        let (answer, page) = get(path, &[]);
        assert_eq!((answer.status().as_u16(), header(&answer, "Content-Type")), (200, "text/html"), "{path}");
        let policy = header(&answer, "Content-Security-Policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let needed = ["src=\"", "rel=\"stylesheet\" href=\"", "rel=\"icon\" href=\""];
        let needed = needed.iter().flat_map(|attribute| page.split(attribute).skip(1));
        let needed: Vec<_> = needed.filter_map(|rest| rest.split('"').next()).collect();
        assert!(!needed.is_empty(), "{path}");
        for asset in needed {
            assert!(asset.starts_with("/api/docs/"), "{path} needs {asset}");
            assert_eq!(get(asset, &[]).0.status(), 200, "{path} needs {asset}");
        }
    }
}

#[test]
fn who_knows_nothing_but_the_address_is_led_to_the_documents() {
    let (_stack, user) = (stack::shared(), User::nobody());
    for (path, status) in [("/", 200), ("/api", 302), ("/api/", 302)] {
        let (answer, _) = get(path, &[]);
        assert_eq!(answer.status(), status, "{path}");
        let location = answer.headers().get("Location");
        assert!(status == 200 || location.is_some_and(|location| location == "/api/docs"), "{answer:?}");
        assert!(header(&answer, "Link").contains("</api/openapi.json>; rel=\"service-desc\""), "{answer:?}");
    }
    let (answer, _) = get("/.well-known/api-catalog", &[]);
    assert!(header(&answer, "Content-Type").starts_with("application/linkset+json;"), "{answer:?}");
    assert_eq!(header(&answer, "Link"), "</.well-known/api-catalog>; rel=\"api-catalog\"");
    let catalog = &user.get("/.well-known/api-catalog").body["linkset"][0];
    for (relation, expected) in [("service-desc", 2), ("service-doc", 2)] {
        let links = catalog[relation].as_array().expect("links");
        assert_eq!(links.len(), expected);
        for link in links {
            let (answer, _) = get(link["href"].as_str().expect("an address"), &[]);
            assert_eq!(
                (answer.status().as_u16(), header(&answer, "Content-Type")),
                (200, link["type"].as_str().expect("a type"))
            );
        }
    }
}

#[test]
fn the_type_of_every_problem_leads_to_what_is_written_about_it() {
    let (_stack, user) = (stack::shared(), User::nobody());
    let problem = user.get("/api/orders");
    problem.assert_problem(401, "unauthorized");
    let (redirect, _) = get(problem.body["type"].as_str().expect("a type"), &[]);
    assert_eq!(redirect.status(), 302);
    let (page, section) = header(&redirect, "Location").split_once('#').expect("a section");
    let (answer, text) = get(page, &[]);
    assert_eq!(answer.status(), 200);
    assert!(text.contains(&format!("<section id=\"{section}\">")), "{section}");
}

#[test]
fn what_the_system_answers_is_documented() {
    let (_stack, user, nobody) = (stack::shared(), User::demo(), User::nobody());
    let contract = Contract::new(user.get("/api/openapi.json").body);
    let (order, pay) = (user.place_order(), |order| format!("/api/payments/pay/{order}"));
    let unknown = "/api/orders/0197f1c2-7b1e-7c3a-9d41-2f0f6f1f7a10";
    for (asking, method, path, body, status) in [
        (&user, Method::POST, "/api/orders", json!({"bill": 62243}), 201),
        (&user, Method::POST, "/api/orders", json!({"bill": 0}), 422),
        (&user, Method::POST, "/api/orders", json!({"bill": 1, "reference": "x".repeat(65 * 1024)}), 413),
        (&nobody, Method::POST, "/api/orders", json!({"bill": 1}), 401),
        (&user, Method::GET, "/api/orders?limit=2", Value::Null, 200),
        (&user, Method::GET, "/api/orders?cursor=x", Value::Null, 422),
        (&user, Method::GET, &format!("/api/orders?cursor={}", "x".repeat(9 * 1024)), Value::Null, 414),
        (&user, Method::GET, unknown, Value::Null, 404),
        (&user, Method::POST, &pay(order), card_details(EMPTY_CARD), 402),
        (&user, Method::POST, &pay(order), card_details(GOOD_CARD), 200),
        (&user, Method::POST, &pay(order), card_details(GOOD_CARD), 409),
        (&user, Method::GET, &format!("/api/payments/{order}"), Value::Null, 200),
        (&user, Method::GET, "/api/payments", Value::Null, 200),
        (&user, Method::GET, &format!("/api/orders/{order}/events"), Value::Null, 200),
        (&user, Method::DELETE, &format!("/api/orders/{order}"), Value::Null, 200),
    ] {
        let answer = asking.send(method.as_str(), path, &body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        contract.assert_kept(&method, path, answer.status, &answer.headers, &answer.body.to_string());
    }
}
