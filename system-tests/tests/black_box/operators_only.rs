//! What only operators may do, tried by everybody else at the very address of the services, without the gateway between.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::broker;
use crate::client::{Answer, User};
use crate::database;
use crate::polling::eventually;
use crate::reconciliation::Reconciliation;
use crate::stack::{self, Stack};

const README: &str = include_str!("../../../README.md");
const CHARGED_IN_SILENCE: &str = "4000000000006108";
const OPERATOR: &str = "Bearer admin-demo-token";

/// Each service, and the queue that it takes events from.
const SERVICES: [(&str, &str); 2] = [("orders", "payment-processed-event"), ("payments", "payment-create-event")];

/// A header that is no operator's, and what the answer says is wrong with it.
const STRANGERS: [(Option<&str>, Option<&str>); 6] = [
    (None, None),
    (Some("Bearer"), Some("invalid_token")),
    (Some("Bearer thisisajwttoken"), Some("invalid_token")),
    (Some("Bearer admin-demo-toke"), Some("invalid_token")),
    (Some("Bearer admin-demo-tokenn"), Some("invalid_token")),
    (Some("Basic admin-demo-token"), Some("invalid_token")),
];

/// What would be changed if somebody got through.
const CHANGEABLE: &str = "
    select jsonb_build_array(
        (select jsonb_agg(row order by id) from orders.parked row),
        (select jsonb_agg(row order by id) from orders.outbox row),
        (select jsonb_agg(row order by id) from payments.parked row),
        (select jsonb_agg(row order by id) from payments.outbox row),
        (select jsonb_agg(row order by id) from payments.attempts row where settle_at is not null),
        (select jsonb_agg(row order by id) from payments.payments row where status in ('processing', 'refunding')),
        (select count(*) from payments.reconciliations)
    )::text";

/// A route as the README has it: `/parked/{id}`.
struct Route {
    method: &'static str,
    path: &'static str,
    is_of_payments_only: bool,
}

#[test]
fn nobody_without_the_operators_token_learns_or_changes_anything_at_the_services_themselves() {
    let (_alone, user) = (stack::alone(), User::demo());
    let postgres = Stack::once_all_run().postgres;
    Reconciliation::once_settled();
    let order = something_to_settle(&user, &postgres);
    let parked = SERVICES.map(|(service, queue)| something_to_discard(&postgres, service, queue));
    let before = database::text(&postgres, CHANGEABLE);

    for ((service, _), parked) in SERVICES.into_iter().zip(&parked) {
        for route in routes_of(service) {
            let path = route.path.replace("{id}", parked).replace("{orderId}", &order.to_string());
            for (authorization, error) in STRANGERS {
                let answer = ask(service, route.method, &path, authorization);
                answer.assert_problem(401, "unauthorized");
                let challenge = answer.header("WWW-Authenticate").expect("a challenge");
                let told = challenge.split("error=\"").nth(1).and_then(|rest| rest.split('"').next());
                assert_eq!(told, error, "{service}, {} {path}, {authorization:?}: {challenge}", route.method);
            }
            // So that what was refused is there at all; with an id that nothing has.
            let path = route.path.replace("{id}", "0").replace("{orderId}", &Uuid::now_v7().to_string());
            if path != "/outbox/republish" {
                let answer = ask(service, route.method, &path, Some(OPERATOR));
                let is_there = ![401, 403, 405].contains(&answer.status) && answer.body["code"] != "route_not_found";
                assert!(is_there, "{service}, {} {path}: {answer:?}", route.method);
            }
        }
    }
    assert_eq!(database::text(&postgres, CHANGEABLE), before);

    for ((service, _), parked) in SERVICES.into_iter().zip(&parked) {
        assert_eq!(ask(service, "DELETE", &format!("/parked/{parked}"), Some(OPERATOR)).status, 200);
        assert_eq!(ask(service, "POST", "/outbox/republish", Some(OPERATOR)).status, 202);
    }
    assert_eq!(ask("payments", "POST", &format!("/in-doubt/{order}/settle"), Some(OPERATOR)).status, 202);
    user.order_becomes(&order, "delivered", "paid");
    Reconciliation::once_settled();
}

/// The tables of the README have them, but for the metrics, of which the console has use.
fn routes_of(service: &str) -> Vec<Route> {
    let of_readme = README.lines().filter_map(|line| {
        let (route, means) = line.strip_prefix("| `")?.split_once("` ")?;
        let (method, path) = route.split_once(' ')?;
        let path = path.split(['?', '`']).next().filter(|path| path.starts_with('/') && !path.starts_with("/api/"))?;
        Some(Route { method, path, is_of_payments_only: means.contains("| payments: ") })
    });
    let metrics = Route { method: "GET", path: "/guarded/metrics", is_of_payments_only: false };
    let routes: Vec<_> = of_readme.chain([metrics]).collect();
    assert!(routes.len() >= 12, "the README names {} only", routes.len());
    routes.into_iter().filter(|route| service == "payments" || !route.is_of_payments_only).collect()
}

/// A paid order of which nobody knows that it is, and an event of it that waits to be sent again.
fn something_to_settle(user: &User, postgres: &str) -> Uuid {
    let order = user.place_order();
    assert_eq!(user.pay(&order, CHARGED_IN_SILENCE).status, 202);
    // What was sent and settled changes nothing when it comes again.
    let data = json!({"orderId": order, "createdBy": "somerandomuserid", "bill": 62243, "currency": "USD"});
    let event = Uuid::now_v7();
    let later = format!(
        "update payments.attempts set settle_at = now() + interval '1 hour' where order_id = '{order}';
         insert into orders.outbox (id, event, order_id, data, next_attempt_at)
         values ('{event}', 'payment-create-event', '{order}', '{data}', now() + interval '1 hour')"
    );
    database::execute(postgres, &later);
    eventually("no other event is on its way", || {
        let others = format!(
            "select ((select count(*) from orders.outbox where id <> '{event}')
                + (select count(*) from payments.outbox))::text"
        );
        match database::text(postgres, &others).as_str() {
            "0" => Ok(()),
            others => Err(others.to_owned()),
        }
    });
    eventually("it counts as in doubt", || {
        let listed = ask("payments", "GET", "/in-doubt", Some(OPERATOR)).body;
        if listed.to_string().contains(&order.to_string()) { Ok(()) } else { Err(listed) }
    });
    order
}

/// The id of a message that the service has parked.
fn something_to_discard(postgres: &str, service: &str, queue: &str) -> String {
    broker::publish(queue, "nonsense");
    let parked = format!("select coalesce(max(id)::text, 'nothing') from {service}.parked");
    eventually("it is parked", || match database::text(postgres, &parked).as_str() {
        "nothing" => Err(format!("{service} has parked nothing")),
        id => Ok(id.to_owned()),
    })
}

#[track_caller]
fn ask(service: &str, method: &str, path: &str, authorization: Option<&'static str>) -> Answer {
    let stack = Stack::now();
    let process = stack.processes.iter().find(|process| process.name.starts_with(&format!("{service}-service")));
    let port = process.and_then(|process| process.ports.get(1)).expect("a port for operators");
    let body = (method == "POST").then(|| Value::Object(serde_json::Map::new()).to_string());
    let headers: Vec<_> = authorization.map(|value| ("Authorization", value)).into_iter().collect();
    let asked = User::nobody().at(&format!("http://127.0.0.1:{port}")).try_send_text(method, path, body, &headers);
    asked.unwrap_or_else(|problem| panic!("{method} {path} was not answered: {problem}"))
}
