//! What the routes of the orders take and answer, for the document of the API. Every example is tried by the tests.

use axum::http::StatusCode;
use serde_json::{Value, json};
use service_kit::openapi::{Content, Description, Operation};
use shared_events::ids::OrderId;

use crate::http::described_routes;
use crate::new_order::CreateOrder;
use crate::order::{Order, OrderStatus};
use crate::orders::HistoryEntry;
use crate::problems::{ORDER_NOT_CANCELLABLE, ORDER_NOT_FOUND, TOO_MANY_STREAMS};
use crate::webhooks;

/// The routes of this service, described.
pub fn description() -> Description {
    let mut operations = vec![
        ("createOrder", create_order()),
        ("listOrders", list_orders()),
        ("followOrders", follow_orders()),
        ("findOrder", find_order()),
        ("cancelOrder", cancel_order()),
        ("followOrder", follow_order()),
        ("listOrderEvents", list_order_events()),
    ];
    operations.extend(webhooks::openapi::operations());
    Description { routes: described_routes().into_openapi(), operations, webhooks: webhooks::openapi::messages() }
}

fn create_order() -> Operation {
    let items = json!([
        {"sku": "TEA-EARL-GREY-100", "description": "Earl Grey, 100 g", "quantity": 2, "unitPrice": 750},
        {"sku": "SHIPPING", "quantity": 1, "unitPrice": 0},
    ]);
    let headers = ["Location", "ETag", "Idempotent-Replayed"];
    Operation::new()
        .idempotent()
        .body::<CreateOrder>(&[
            ("bill", json!({"bill": 62243})),
            ("currency", json!({"bill": 1999, "currency": "EUR", "reference": "INV-2026-0042"})),
            ("items", json!({"items": items})),
            ("itemsAndBill", json!({"items": items, "bill": 1500, "currency": "EUR"})),
        ])
        .answers(StatusCode::CREATED, "The order was placed.", Content::one::<Order>(&order()), &headers)
        .leads_to(
            StatusCode::CREATED,
            &[
                ("payOrder", "orderId"),
                ("findPayment", "orderId"),
                ("findOrder", "id"),
                ("listOrderEvents", "id"),
                ("cancelOrder", "id"),
            ],
        )
}

fn list_orders() -> Operation {
    let orders = Content::page::<Order>(&json!([order()]));
    Operation::new().pages::<OrderStatus>().answers(StatusCode::OK, "A page of your orders.", orders, &["Link"])
}

fn follow_orders() -> Operation {
    let place = "1764087000@7041:7044:7041+7043.2";
    let events = format!(
        "retry: 1830\n\n{}{}: heartbeat\n\n",
        event(
            "orders",
            "1764086990@7041:7041:",
            &json!({"data": [order()], "page": {"limit": 100, "nextCursor": null}})
        ),
        event("order", place, &cancelled()),
    );
    let answer = Content::events::<Order>(&events);
    Operation::new()
        .resumable("The `id` of the last event that you have got.", place)
        .answers(StatusCode::OK, "Your orders, and each change of them, until one of the two hangs up.", answer, &[])
        .refuses(&[&TOO_MANY_STREAMS])
}

fn follow_order() -> Operation {
    let events =
        format!("retry: 1830\n\n{}{}: heartbeat\n\n", event("order", "1", &order()), event("order", "2", &cancelled()));
    let answer = Content::events::<Order>(&events);
    of_one_order()
        .resumable("The `id` of the last event that you have got: a version of the order.", "1")
        .answers(StatusCode::OK, "The order, and each change of it, until one of the two hangs up.", answer, &[])
        .refuses(&[&TOO_MANY_STREAMS])
}

fn event(name: &str, id: &str, data: &Value) -> String {
    format!("event: {name}\nid: {id}\ndata: {data}\n\n")
}

fn find_order() -> Operation {
    of_one_order().conditional().answers(StatusCode::OK, "The order.", Content::one::<Order>(&order()), &["ETag"])
}

fn cancel_order() -> Operation {
    let content = Content::one::<Order>(&cancelled());
    of_one_order()
        .guarded()
        .answers(StatusCode::OK, "The order is cancelled.", content, &["ETag"])
        .refuses(&[&ORDER_NOT_CANCELLABLE])
}

fn list_order_events() -> Operation {
    let history = json!([
        {"status": "created", "at": "2026-11-23T01:48:15.857534Z", "cause": "order_placed"},
        {"status": "confirmed", "at": "2026-11-23T01:48:16.411270Z", "cause": "payment_paid"},
        {"status": "delivered", "at": "2026-11-23T01:49:16.540411Z", "cause": "delivery_due"},
    ]);
    let content = Content::all::<HistoryEntry>(&history);
    of_one_order().answers(StatusCode::OK, "All that has happened to the order.", content, &[])
}

fn of_one_order() -> Operation {
    Operation::new().id::<OrderId>("id", "The order.").refuses(&[&ORDER_NOT_FOUND])
}

/// An order as it is placed.
pub(crate) fn order() -> Value {
    json!({
        "id": "01a20616-ee6f-759c-9ca9-709cba7d9bcf",
        "status": "created",
        "bill": 62243,
        "currency": "USD",
        "createdBy": "somerandomuserid",
        "paymentStatus": "pending",
        "deliverAt": null,
        "expiresAt": "2026-11-24T01:48:15.857534Z",
        "cancelReason": null,
        "version": 1,
        "createdAt": "2026-11-23T01:48:15.857534Z",
        "updatedAt": "2026-11-23T01:48:15.857534Z",
    })
}

fn cancelled() -> Value {
    let changes = json!({"status": "cancelled", "cancelReason": "user", "version": 2, "updatedAt": "2026-11-23T01:48:30.120431Z"});
    with(order(), changes)
}

fn with(mut value: Value, changes: Value) -> Value {
    if let (Some(value), Value::Object(changes)) = (value.as_object_mut(), changes) {
        value.extend(changes);
    }
    value
}
