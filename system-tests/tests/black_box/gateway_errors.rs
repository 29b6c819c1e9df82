//! What nginx refuses by itself looks like a refusal of the services.

use serde_json::json;
use uuid::Uuid;

use crate::client::{Answer, User};
use crate::stack;

#[test]
fn a_path_that_nobody_serves_is_a_problem_with_the_id_of_the_request() {
    let (_stack, user) = (stack::shared(), User::demo());
    for path in ["/nothing", "/api/nothing", "/api/orders-and-more", "//api/orders"] {
        let answer = user.get(path);
        answer.assert_problem(404, "route_not_found");
        assert_eq!(answer.body["instance"], path, "{answer:?}");
    }
    assert_ne!(request_id(&user.get("/nothing")), request_id(&user.get("/nothing")));
}

#[test]
fn a_clients_own_request_id_is_kept_if_it_is_harmless() {
    let (_stack, user) = (stack::shared(), User::demo());
    let own = Uuid::new_v4().to_string();
    for path in ["/api/nothing", "/api/orders/nothing", "/api/payments/nothing"] {
        let named = |id: &str| user.try_send_text("GET", path, None, &[("X-Request-Id", id)]).expect("an answer");
        let kept = named(&own);
        assert_eq!((kept.status, request_id(&kept)), (404, own.clone()), "{kept:?}");
        let replaced = named("\"}] drop table");
        assert_eq!(replaced.status, 404, "{replaced:?}");
        assert_ne!(request_id(&replaced), "\"}] drop table", "{replaced:?}");
    }
}

#[test]
fn a_body_that_is_too_large_is_a_problem_with_the_id_of_the_request() {
    let (_stack, user) = (stack::shared(), User::demo());
    for path in ["/api/orders", "/api/payments/pay/0198c5a0-0000-7000-8000-000000000000"] {
        let answer = user.send("POST", path, &json!({"bill": 1, "reference": "x".repeat(65 * 1024)}));
        answer.assert_problem(413, "payload_too_large");
        assert_eq!(answer.body["instance"], path, "{answer:?}");
    }
}

#[track_caller]
fn request_id(answer: &Answer) -> String {
    let id = answer.body["requestId"].as_str();
    assert!(id.is_some() && id == answer.header("X-Request-Id"), "{answer:?}");
    id.unwrap_or_default().to_owned()
}
