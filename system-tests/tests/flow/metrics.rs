//! What is said of the metrics, and what they say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sqlx::PgPool;

use crate::services::Services;

#[sqlx::test(migrations = false)]
async fn every_metric_is_documented_and_every_documented_metric_is_there(database: PgPool) {
    let services = Services::start(database).await;
    let id = services.place_order().await;
    assert_eq!(services.pay(id, "4242424242424242").await.0, 200);
    services.order_becomes(id, "delivered", "paid").await;
    assert_eq!(services.send("GET", "/api/orders/nothing", serde_json::Value::Null).await.0, 404);
    // The lengths of queues are asked for after the first session has begun.
    let queue = services.topology.queue("payment-create-event");
    services.metric_becomes(&format!("queue_messages_ready{{queue=\"{queue}\"}} 0")).await;

    let texts = services.metrics().await;
    let exported: BTreeSet<String> = texts.iter().flat_map(|text| names(text)).collect();
    let documented = documented();
    let undocumented: Vec<_> = exported.difference(&documented).collect();
    let missing: Vec<_> = documented.difference(&exported).collect();
    assert!(
        undocumented.is_empty() && missing.is_empty(),
        "not in the README: {undocumented:?}; not there: {missing:?}"
    );
    let route = r#"http_server_request_duration_seconds_count{method="GET",route="/api/orders/{id}",status="404"} 1"#;
    assert!(texts[0].lines().any(|line| line == route), "{}", texts[0]);
    assert!(!texts.concat().contains(&id.to_string()), "an id makes a series of its own");
    services.stop().await;
}

/// Counters have another name with their value than in their description.
fn names(text: &str) -> Vec<String> {
    let described = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    described.map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() }).collect()
}

/// The first column of the README's table.
fn documented() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(path).expect("the README is there");
    let (_, section) = readme.split_once("\n## Metrics\n").expect("it tells of metrics");
    let section = section.split("\n## ").next().unwrap_or_default();
    let columns = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let names = columns.flat_map(|column| column.split("`, `"));
    names.map(|name| name.split(['{', '`']).next().unwrap_or_default().to_owned()).collect()
}
