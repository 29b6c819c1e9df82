//! A system that takes signed tokens, and the tokens that `cargo xtask token` makes for it.

use std::process::Command;

use serde_json::json;

use crate::client::{Answer, User};
use crate::own_stack::OwnStack;
use crate::stack;

fn token(user: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(stack::xtask());
    let output = command.args(["token", "--user", user]).args(arguments).output().expect("xtask can be run");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn orders_belong_to_whom_a_token_is_signed_for() {
    let _stack = stack::shared();
    let own = OwnStack::start_with("signed-tokens-stack", 1, &[("AUTH_MODE", "jwt")]);
    let nobody = User::nobody().at(&own.now().gateway);
    let send = |method: &str, path: &str, token: &str| -> Answer {
        let body = (method == "POST").then(|| json!({"bill": 62243}).to_string());
        nobody.try_send_text(method, path, body, &[("Authorization", &format!("Bearer {token}"))]).expect("an answer")
    };
    let (alice, bob) = (token("alice", &[]), token("bob", &["--ttl", "5m"]));
    let placed = send("POST", "/api/orders", &alice);
    assert_eq!((placed.status, placed.body["data"]["createdBy"].as_str()), (201, Some("alice")), "{placed:?}");
    let path = format!("/api/orders/{}", placed.id().expect("an id"));
    assert_eq!(send("GET", &path, &alice).status, 200);
    send("GET", &path, &bob).assert_problem(404, "order_not_found");
    send("DELETE", &path, &bob).assert_problem(404, "order_not_found");

    for (what, refused) in [
        ("the demo token", "thisisajwttoken".to_owned()),
        ("another issuer", token("alice", &["--issuer", "https://evil.example"])),
        ("another audience", token("alice", &["--audience", "another"])),
        ("a signature that is cut off", alice[..alice.len() - 4].to_owned()),
        ("a name that is no name", token("al\nice", &[])),
    ] {
        for path in ["/api/orders", "/api/payments"] {
            let answer = send("GET", path, &refused);
            answer.assert_problem(401, "unauthorized");
            let challenge = answer.header("WWW-Authenticate").expect("a challenge");
            assert!(challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
        }
    }
    nobody.get("/api/orders").assert_problem(401, "unauthorized");
}
