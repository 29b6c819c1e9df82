//! One trace from a request to the delivery, as a collector is told of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::client::{self, GOOD_CARD, User};
use crate::own_stack::OwnStack;
use crate::polling::eventually;
use crate::stack;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

#[test]
fn a_request_its_events_and_its_timer_are_one_trace_across_both_services() {
    let _stack = stack::shared();
    let collector = Collector::start();
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address.as_str())];
    let own = OwnStack::start_with("traced-stack", 1, &settings);
    let user = User::demo().at(&own.now().gateway);
    let traced = |method: &str, path: &str, body: &Value| {
        let traceparent = format!("00-{TRACE}-{CLIENT}-01");
        let answer = user.try_send_text(method, path, Some(body.to_string()), &[("traceparent", &traceparent)]);
        answer.expect("an answer")
    };
    let order = traced("POST", "/api/orders", &json!({"bill": 62243})).id().expect("an order");
    user.payment_becomes(&order, "pending");
    let pay = format!("/api/payments/pay/{order}");
    assert_eq!(traced("POST", &pay, &client::card_details(GOOD_CARD)).status, 200);
    user.order_becomes(&order, "delivered", "paid");

    // Each span with the one that it is below.
    let expected = [
        ("orders-service POST /api/orders", "the client"),
        ("orders-service batch in PostgreSQL", "orders-service POST /api/orders"),
        ("orders-service publish order-processing:payment-create-event", "orders-service POST /api/orders"),
        ("payments-service process order-processing:payment-create-event", "orders-service POST /api/orders"),
        ("payments-service POST /api/payments/pay/{orderId}", "the client"),
        ("payments-service card processor: charge", "payments-service POST /api/payments/pay/{orderId}"),
        (
            "payments-service publish order-processing:payment-processed-event",
            "payments-service POST /api/payments/pay/{orderId}",
        ),
        (
            "orders-service process order-processing:payment-processed-event",
            "payments-service POST /api/payments/pay/{orderId}",
        ),
        ("orders-service timer: order delivered", "orders-service POST /api/orders"),
    ];
    eventually("the collector has the whole trace", || {
        let told = collector.parents();
        let missing = expected.iter().find(|(name, parent)| told.get(*name).map(String::as_str) != Some(*parent));
        missing.map_or(Ok(()), |missing| Err(format!("{missing:?} is not in {told:#?}")))
    });
    for (operation, attributes) in [
        ("publish", ["send", "order-processing:payment-create-event", "payment-create-event"]),
        ("process", ["process", "order-processing:payment-create-event", "payment-create-event"]),
    ] {
        let told = collector.attributes(&format!("{operation} order-processing:payment-create-event"));
        let names = ["operation.type", "destination.name", "rabbitmq.destination.routing_key"];
        let expected = [("system", "rabbitmq"), ("operation.name", operation)]
            .into_iter()
            .chain(names.into_iter().zip(attributes));
        for (name, value) in expected {
            assert_eq!(told.get(&format!("messaging.{name}")).map(String::as_str), Some(value), "{name} in {told:?}");
        }
    }
    let everything = format!("{:?}", collector.spans());
    assert!(everything.contains(&order.to_string()) && !everything.contains(GOOD_CARD), "the order and not its card");
}

/// Whoever is sent spans.
struct Collector {
    address: String,
    received: Received,
    _runtime: Runtime,
}

/// The spans with the service that sent each.
type Received = Arc<Mutex<Vec<(String, Span)>>>;

impl Collector {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let received = Received::default();
        let routes = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&received));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Self { address, received, _runtime: runtime }
    }

    /// Those of our trace.
    fn spans(&self) -> Vec<(String, Span)> {
        let received = self.received.lock().expect("nobody panics here");
        received.iter().filter(|(_, span)| hex(&span.trace_id) == TRACE).cloned().collect()
    }

    /// Those of a span that have a text.
    fn attributes(&self, name: &str) -> BTreeMap<String, String> {
        let spans = self.spans();
        let (_, span) = spans.iter().find(|(_, span)| span.name == name).expect("there is such a span");
        let text = |value: &AnyValue| match &value.value {
            Some(any_value::Value::StringValue(text)) => Some(text.clone()),
            _ => None,
        };
        let attributes = span.attributes.iter();
        attributes.filter_map(|attribute| Some((attribute.key.clone(), text(attribute.value.as_ref()?)?))).collect()
    }

    /// The service and the name of each span, and those of what it is below.
    fn parents(&self) -> BTreeMap<String, String> {
        let spans = self.spans();
        let name = |(service, span): &(String, Span)| format!("{service} {}", span.name);
        let mut names: BTreeMap<String, String> =
            spans.iter().map(|named| (hex(&named.1.span_id), name(named))).collect();
        names.insert(CLIENT.to_owned(), "the client".to_owned());
        let parent =
            |span: &Span| names.get(&hex(&span.parent_span_id)).cloned().unwrap_or_else(|| "unknown".to_owned());
        spans.iter().rev().map(|named| (name(named), parent(&named.1))).collect()
    }
}

async fn receive(State(received): State<Received>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).expect("spans");
    for resource in request.resource_spans {
        let service = resource.resource.iter().flat_map(|resource| &resource.attributes);
        let service = service.filter(|attribute| attribute.key == "service.name").find_map(|name| name.value.clone());
        let service = format!("{:?}", service.and_then(|name| name.value));
        let service = service.split('"').nth(1).unwrap_or_default().to_owned();
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        received.lock().expect("nobody panics here").extend(spans.map(|span| (service.clone(), span)));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
