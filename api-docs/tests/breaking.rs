//! What breaks a client is found, and what does not is let through.

use api_docs::{breaking, openapi};
use serde_json::{Value, json};

const CREATE: &str = "/paths/~1api~1orders/post";

/// What the comparison says after this change of the document.
fn after(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let old = openapi::document();
    let mut new = old.clone();
    change(&mut new);
    assert_ne!(old, new, "nothing was changed");
    breaking::changes(&old, &new)
}

#[track_caller]
fn assert_broken(expected: &str, change: impl FnOnce(&mut Value)) {
    let found = after(change);
    assert!(found.iter().any(|sentence| sentence == expected), "{found:?}");
}

fn at<'a>(document: &'a mut Value, pointer: &str) -> &'a mut Value {
    document.pointer_mut(pointer).unwrap_or_else(|| panic!("the document has no {pointer}"))
}

fn remove(document: &mut Value, object: &str, member: &str) {
    let removed = at(document, object).as_object_mut().expect("an object").remove(member);
    assert!(removed.is_some(), "{object} has no {member}");
}

fn schema(name: &str) -> String {
    format!("/components/schemas/{name}")
}

#[test]
fn the_same_document_breaks_nothing() {
    let document = openapi::document();
    assert_eq!(breaking::changes(&document, &document), [""; 0]);
}

#[test]
fn what_is_removed_is_missed() {
    assert_broken("GET /api/orders is gone", |new| remove(new, "/paths", "/api/orders"));
    assert_broken("DELETE /api/orders/{id} is gone", |new| remove(new, "/paths/~1api~1orders~1{id}", "delete"));
    assert_broken("POST /api/orders: 201 is gone", |new| remove(new, &format!("{CREATE}/responses"), "201"));
    assert_broken("GET /api/orders: 200.data[].bill is gone", |new| {
        remove(new, &format!("{}/properties", schema("Order")), "bill");
    });
    assert_broken("POST /api/orders: the body.reference is gone", |new| {
        remove(new, &format!("{}/properties", schema("CreateOrder")), "reference");
    });
    assert_broken("GET /api/orders: the parameter status is gone", |new| {
        at(new, "/paths/~1api~1orders/get/parameters")
            .as_array_mut()
            .expect("a list")
            .retain(|one| one["name"] != "status");
    });
    assert_broken("POST /api/orders: 201 no longer has the header Location", |new| {
        remove(new, &format!("{CREATE}/responses/201/headers"), "Location");
    });
    assert_broken("POST /api/orders: the body is no longer application/json", |new| {
        remove(new, &format!("{CREATE}/requestBody/content"), "application/json");
    });
}

#[test]
fn a_client_is_not_asked_for_more() {
    assert_broken("POST /api/orders: the body.reference is required now", |new| {
        at(new, &schema("CreateOrder"))["required"] = json!(["reference"]);
    });
    assert_broken("POST /api/orders: the parameter Idempotency-Key is required now", |new| {
        at(new, &format!("{CREATE}/parameters/0"))["required"] = json!(true);
    });
    assert_broken("POST /api/orders requires the new parameter X-Shop", |new| {
        let parameter = json!({"name": "X-Shop", "in": "header", "required": true, "schema": {"type": "string"}});
        at(new, &format!("{CREATE}/parameters")).as_array_mut().expect("a list").push(parameter);
    });
    assert_broken("POST /api/orders: the body.items[].quantity has a narrower maximum", |new| {
        at(new, &format!("{}/properties/quantity", schema("Item")))["maximum"] = json!(100);
    });
    assert_broken("GET /api/orders: the parameter status no longer takes \"declined\"", |new| {
        at(new, &format!("{}/enum", schema("OrderStatus")))
            .as_array_mut()
            .expect("a list")
            .retain(|one| one != "declined");
    });
    assert_broken("POST /api/orders: the body.reference no longer takes \"null\"", |new| {
        at(new, &format!("{}/properties/reference", schema("CreateOrder")))["type"] = json!("string");
    });
}

#[test]
fn a_client_reads_what_it_knows() {
    assert_broken("GET /api/orders/{id}: 200.data.deliverAt may be missing now", |new| {
        at(new, &format!("{}/required", schema("Order")))
            .as_array_mut()
            .expect("a list")
            .retain(|one| one != "deliverAt");
    });
    assert_broken("GET /api/orders/{id}: 200.data.version may now be \"null\"", |new| {
        at(new, &format!("{}/properties/version", schema("Order")))["type"] = json!(["integer", "null"]);
    });
    assert_broken("POST /api/orders may now be answered 202", |new| {
        at(new, &format!("{CREATE}/responses"))["202"] = json!({"description": "Later."});
    });
    assert_broken("GET /api/orders/{id}: 200.data.status may now be \"lost\"", |new| {
        at(new, &format!("{}/enum", schema("OrderStatus"))).as_array_mut().expect("a list").push(json!("lost"));
    });
}

#[test]
fn what_harms_nobody_is_let_through() {
    let harmless: [fn(&mut Value); 5] = [
        |new| at(new, &format!("{}/properties", schema("Order")))["colour"] = json!({"type": "string"}),
        |new| at(new, &format!("{}/properties", schema("CreateOrder")))["colour"] = json!({"type": "string"}),
        |new| at(new, &format!("{}/properties/quantity", schema("Item")))["maximum"] = json!(20_000),
        |new| new["paths"]["/api/refunds"] = json!({"get": {"operationId": "listRefunds", "responses": {}}}),
        |new| remove(new, &format!("{CREATE}/responses"), "501"),
    ];
    for change in harmless {
        assert_eq!(after(change), [""; 0]);
    }
}

#[test]
fn a_new_code_of_a_problem_harms_nobody() {
    let place = "/components/responses/OrderNotFound/content/application~1problem+json/schema/properties/code/enum";
    assert_eq!(after(|new| at(new, place).as_array_mut().expect("a list").push(json!("order_archived"))), [""; 0]);
}
