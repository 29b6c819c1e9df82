//! The console behind the gateway, as a browser gets it and as people use it. What they do is told in `console/tests`.

use std::process::Command;

use uuid::Uuid;

use crate::broker;
use crate::client::{GOOD_CARD, User};
use crate::database;
use crate::documents::{get, header};
use crate::parked;
use crate::reconciliation::Reconciliation;
use crate::stack::{self, Stack};

const FILES: [(&str, &str); 4] = [
    ("/", "text/html"),
    ("/console.js", "text/javascript"),
    ("/console-style.css", "text/css"),
    ("/console.svg", "image/svg+xml"),
];

#[test]
fn the_console_is_small_and_needs_nothing_from_any_other_server() {
    let _stack = stack::shared();
    let mut bytes = 0;
    for (path, media_type) in FILES {
        let (answer, body) = get(path, &[]);
        assert_eq!((answer.status().as_u16(), header(&answer, "Content-Type")), (200, media_type), "{path}");
        assert_eq!(header(&answer, "Cache-Control"), "no-cache", "{path}");
        let (unchanged, _) = get(path, &[("If-None-Match", header(&answer, "ETag"))]);
        assert_eq!(unchanged.status(), 304, "{path}");
        bytes += body.len();
    }
    assert!(bytes < 150 * 1024, "{bytes} bytes");

    let (answer, page) = get("/", &[]);
    let policy = header(&answer, "Content-Security-Policy");
    for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"] {
        assert!(policy.split("; ").any(|found| found == rule), "{rule}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let needed = ["src=\"", "rel=\"stylesheet\" href=\"", "rel=\"icon\" href=\""];
    for asset in needed.iter().flat_map(|attribute| page.split(attribute).skip(1)) {
        let asset = asset.split('"').next().unwrap_or_default();
        assert!(FILES.iter().any(|(path, _)| *path == asset), "the page needs {asset}");
    }
    assert_eq!(get("/index.html", &[]).0.status(), 404, "a page has one name");
}

/// Has a browser do what `console/tests` tells under this name.
#[track_caller]
fn browse(scenario: &str) {
    let console = concat!(env!("CARGO_MANIFEST_DIR"), "/../console");
    let screenshots = stack::binaries().join("../console-screenshots");
    let mut node = Command::new("node");
    node.args(["tests/browse.mjs", scenario]).current_dir(console);
    node.env("GATEWAY_URL", stack::gateway_url()).env("SCREENSHOTS", screenshots);
    let output = node.output().expect("Node.js, which `cargo xtask test` installs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A scenario that does not mind others, for each name.
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                let _stack = stack::shared();
                browse(stringify!($name));
            }
        )+
    };
}

scenarios!(
    an_order_is_placed_paid_and_watched_until_it_is_delivered,
    a_declined_card_is_told_and_another_one_pays,
    a_charged_order_is_cancelled_and_the_money_comes_back,
    an_order_of_items_costs_what_they_add_up_to,
    a_lost_network_is_told_and_nothing_is_done_twice,
    a_pay_that_had_no_answer_is_paid_again_once_the_network_is_back,
    a_typed_card_is_kept_nowhere_in_the_page,
    everything_can_be_done_by_keyboard,
    a_refusal_is_told_in_words,
    nobody_gets_in_without_the_operators_token,
    operators_are_told_all_of_any_order,
    every_view_is_accessible_on_every_screen,
    the_page_of_the_api_fits_a_phone,
);

#[test]
fn the_list_is_filtered_and_leads_from_page_to_page() {
    // It places more orders than a page holds, and others look for their own on the first one.
    let _alone = stack::alone();
    Stack::once_all_run();
    browse("the_list_is_filtered_and_leads_from_page_to_page");
}

#[test]
fn it_is_seen_how_both_services_stand_and_how_fast_they_are() {
    let (_alone, user) = (stack::alone(), User::demo());
    Stack::once_all_run();
    let paid = user.place_order();
    assert_eq!(user.pay(&paid, GOOD_CARD).status, 200);
    Reconciliation::once_settled();
    Reconciliation::of_stack("0s");
    browse("it_is_seen_how_both_services_stand_and_how_fast_they_are");
}

#[test]
fn a_charge_in_doubt_is_shown_and_settled() {
    const CHARGED_IN_SILENCE: &str = "4000000000006108";
    let (_alone, user) = (stack::alone(), User::demo());
    let stack = Stack::once_all_run();
    Reconciliation::once_settled();
    let order = user.place_order();
    assert_eq!(user.pay(&order, CHARGED_IN_SILENCE).status, 202);
    // As after many questions that nobody answered; the first one is seconds away.
    let later =
        format!("update payments.attempts set settle_at = now() + interval '1 hour' where order_id = '{order}'");
    database::execute(&stack.postgres, &later);
    browse("a_charge_in_doubt_is_shown_and_settled");
    user.order_becomes(&order, "delivered", "paid");
}

#[test]
fn what_is_parked_is_replayed_or_discarded() {
    let _alone = stack::alone();
    Stack::once_all_run();
    let given_up = Uuid::now_v7();
    parked::give_up_event_of(given_up);
    broker::publish(parked::QUEUE, "nonsense");
    browse("what_is_parked_is_replayed_or_discarded");
    User::demo().payment_becomes(&given_up, "pending");
}

#[test]
fn the_gateway_leads_operators_to_what_takes_their_token_and_to_nothing_else() {
    let _stack = stack::shared();
    for service in ["orders", "payments"] {
        for path in ["parked", "parked/17", "guarded/metrics"] {
            let path = format!("/admin/{service}/{path}");
            assert_eq!(get(&path, &[]).0.status(), 401, "{path}");
            let user = ("Authorization", "Bearer thisisajwttoken");
            assert_eq!(get(&path, &[user]).0.status(), 401, "{path}");
        }
        let operator = ("Authorization", "Bearer admin-demo-token");
        let (answer, metrics) = get(&format!("/admin/{service}/guarded/metrics"), &[operator]);
        assert!(answer.status() == 200 && metrics.contains("outbox_events"), "{answer:?}");
        for path in ["metrics", "health/ready", "health/live", "", "guarded/../metrics", "reconciliations", "parked/"] {
            let path = format!("/admin/{service}/{path}");
            assert_eq!(get(&path, &[operator]).0.status(), 404, "{path}");
        }
    }
}
