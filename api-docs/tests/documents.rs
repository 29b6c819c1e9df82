//! The documents are whole and true: nothing is missing in them, and nothing is there that is not in the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use api_docs::{asyncapi, events, gateway, openapi, problems};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use service_kit::contract::Contract;
use service_kit::openapi::Description;
use service_kit::problem_types::{self, ProblemType};
use shared_events::envelope::Envelope;
use shared_events::events::{Event, PaymentCancel, PaymentCreate, PaymentProcessed};
use shared_events::receipt::Receipt;

#[test]
fn every_route_is_described_and_nothing_else() {
    for Description { routes, operations, .. } in
        [orders_service::openapi::description(), payments_service::openapi::description()]
    {
        let routes = json!(routes.paths);
        let operations_of =
            |item: &Value| item.as_object().into_iter().flatten().map(|(_, route)| route.clone()).collect();
        let routed: Vec<Value> =
            routes.as_object().expect("paths").values().flat_map(|item| -> Vec<_> { operations_of(item) }).collect();
        let routed: BTreeSet<_> = routed.iter().map(|route| route["operationId"].as_str().expect("an id")).collect();
        let described: BTreeSet<_> = operations.iter().map(|(id, _)| *id).collect();
        assert_eq!(routed, described);
    }
}

/// Only `.routes(routes!(…))` takes the description of a handler along.
#[test]
fn no_route_is_added_without_its_description() {
    for service in ["orders-service", "payments-service"] {
        let source = fs::read_to_string(repository().join(service).join("src/http.rs")).expect("a file");
        assert!(!source.contains(".route("), "{service} adds a route that is not documented");
    }
}

#[test]
fn every_example_is_as_its_schema_has_it() {
    assert!(Contract::new(openapi::document()).assert_examples() > 30);
}

#[test]
fn every_problem_of_the_services_and_the_gateway_is_documented_and_no_other() {
    let document = openapi::document();
    let mut documented = BTreeSet::new();
    for response in document["components"]["responses"].as_object().expect("responses").values() {
        let examples = &response["content"]["application/problem+json"]["examples"];
        documented.extend(examples.as_object().expect("examples").keys().cloned());
    }
    // What is answered where no route is, what nginx never gets to say, and what operators get.
    let elsewhere = [&problem_types::ROUTE_NOT_FOUND, &problem_types::METHOD_NOT_ALLOWED, &gateway::REQUEST_TIMEOUT];
    let operators = [problem_types::admin::ALL, payments_service::problems::admin::ALL].concat();
    let elsewhere = elsewhere.into_iter().chain(operators);
    let elsewhere: BTreeSet<_> = elsewhere.map(|problem| problem.code.to_owned()).collect();
    let existing: BTreeSet<_> = catalogue().map(|problem| problem.code.to_owned()).collect();
    assert_eq!(documented, existing.difference(&elsewhere).cloned().collect());
}

#[test]
fn every_link_names_an_operation_and_a_parameter_of_it() {
    let document = openapi::document();
    let items = document["paths"].as_object().expect("paths").values();
    let operations: Vec<_> = items.flat_map(|item| item.as_object().expect("operations").values()).collect();
    let links = operations.iter().flat_map(|operation| operation["responses"].as_object().expect("responses").values());
    let links: Vec<_> =
        links.filter_map(|response| response["links"].as_object()).flat_map(|links| links.values()).collect();
    assert!(!links.is_empty());
    for link in links {
        let target = operations.iter().find(|operation| operation["operationId"] == link["operationId"]);
        let parameters = target.expect("an operation")["parameters"].as_array().expect("parameters");
        for name in link["parameters"].as_object().expect("parameters").keys() {
            assert!(parameters.iter().any(|parameter| parameter["name"] == name.as_str()), "{link}");
        }
    }
}

/// Clients are told which codes there are for one field, and decide by them.
#[test]
fn every_code_of_a_field_is_documented() {
    let document = openapi::document();
    let documented = document["components"]["schemas"]["FieldError"]["properties"]["code"]["description"].to_string();
    let mut found = 0;
    for file in [
        "service-kit/src/body.rs",
        "service-kit/src/page.rs",
        "orders-service/src/new_order.rs",
        "payments-service/src/card.rs",
    ] {
        let source = fs::read_to_string(repository().join(file)).expect("a file");
        let (code, _) = source.split_once("mod tests").expect("tests");
        for call in code.split("FieldError::new(").skip(1) {
            let is_code =
                |text: &&str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && !text.is_empty();
            let name = call.split('"').skip(1).step_by(2).find(is_code).unwrap_or_else(|| panic!("no code in {call}"));
            assert!(documented.contains(&format!("`{name}`")), "{name} of {file} is not documented");
            found += 1;
        }
    }
    assert!(found > 10, "only {found}");
}

#[test]
fn every_problem_has_a_code_of_its_own_and_a_section_of_the_page() {
    let page = problems::html(&openapi::document());
    let mut codes = BTreeSet::new();
    for problem in catalogue() {
        assert!(codes.insert(problem.code), "{} is there twice", problem.code);
        assert!(page.contains(&format!("<section id=\"{}\">", problem.code)), "{}", problem.code);
    }
}

/// An entry that nothing answers any more has to go.
#[test]
fn every_problem_of_the_services_is_answered_somewhere() {
    let sources = ["service-kit", "orders-service", "payments-service"].map(|name| repository().join(name).join("src"));
    let code = sources.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder").flatten());
    let code = code.filter(|file| file.path().is_file());
    let code: String = code.map(|file| fs::read_to_string(file.path()).expect("a file")).collect();
    for problem in catalogue().filter(|problem| !gateway::ALL.iter().any(|own| own.code == problem.code)) {
        let name = problem.code.to_uppercase();
        let answered = ["&problem_types::", "&admin::", "&problem_types::admin::", "&"];
        let answered = answered.iter().any(|path| code.contains(&format!("new({path}{name})")));
        assert!(answered, "{name} is never answered");
    }
}

#[test]
fn the_gateway_says_what_its_problems_say() {
    let template = fs::read_to_string(repository().join("gateway/gateway.conf.template")).expect("a file");
    let own = gateway::ALL.iter().chain(&gateway::SHARED);
    let expected: BTreeSet<_> = own.clone().map(|problem| said(&template, problem)).collect();
    let codes = table(&template, "problem_code");
    assert_eq!(expected.len(), codes.len(), "every row of the tables is a problem of the catalogue");
}

/// Asserts that the tables of the template have the code, the title and, unless a service has a word in it, the advice.
fn said(template: &str, problem: &ProblemType) -> String {
    let code = table(template, "problem_code");
    let status = code.iter().find(|(_, code)| code == problem.code).map(|(status, _)| status.clone());
    let status = status.unwrap_or_else(|| panic!("the gateway does not know {}", problem.code));
    let row = |name| table(template, name).into_iter().find(|(key, _)| *key == status).expect("a row").1;
    assert!(status == problem.status.as_str() || status == "default", "{status} {}", problem.code);
    assert_eq!(row("problem_title"), problem.title);
    if gateway::ALL.iter().any(|own| own.code == problem.code) {
        assert_eq!(row("problem_detail"), problem.advice);
    }
    status
}

/// The rows of a `map $status` of the template.
fn table(template: &str, variable: &str) -> Vec<(String, String)> {
    let (_, rest) = template.split_once(&format!("map $status ${variable} {{")).expect("a table");
    let (rows, _) = rest.split_once("\n}").expect("an end");
    let rows = rows.lines().filter_map(|line| line.trim().strip_suffix(';')?.split_once(char::is_whitespace));
    rows.map(|(key, value)| (key.to_owned(), value.trim().trim_matches('"').to_owned())).collect()
}

#[test]
fn every_example_of_an_event_is_one() {
    let document = asyncapi::document(&events::all());
    let decoded = examples_are::<Envelope<PaymentCreate>>(&document, PaymentCreate::NAME)
        + examples_are::<Envelope<PaymentCancel>>(&document, PaymentCancel::NAME)
        + examples_are::<Envelope<PaymentProcessed>>(&document, PaymentProcessed::NAME)
        + examples_are::<Receipt>(&document, "Receipt");
    assert!(decoded >= 8, "only {decoded} examples");
}

/// Decodes the examples of a message as the real type, which has nothing to add and nothing to leave out.
fn examples_are<T: DeserializeOwned + serde::Serialize>(document: &Value, message: &str) -> usize {
    let message = &document["components"]["messages"][message];
    let contract = Contract::new(document.clone());
    let schema = message["payload"]["$ref"].as_str().expect("a reference").trim_start_matches('#');
    let examples = message["examples"].as_array().expect("examples");
    for example in examples {
        let decoded: T = serde_json::from_value(example["payload"].clone()).expect("the real type");
        assert_eq!(json!(decoded), example["payload"]);
        contract.assert_valid("an example", schema, &example["payload"]);
    }
    examples.len()
}

fn catalogue() -> impl Iterator<Item = &'static ProblemType> {
    problems::catalogue().into_iter().flat_map(|(_, problems)| problems)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder").to_owned()
}
