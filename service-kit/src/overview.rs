//! What the overviews of all services have in common, which operators read first.

use serde_json::{Map, Value, json};

/// How many of the newest rows an overview looks at to tell their states: counting all would read all.
pub const NEWEST: i64 = 10_000;

/// How many of the newest rows have each of the states there are.
pub fn by_status(all: impl IntoIterator<Item = &'static str>, counted: Vec<(&'static str, i64)>) -> Value {
    let mut by_status: Map<String, Value> = all.into_iter().map(|status| (status.to_owned(), 0.into())).collect();
    by_status.extend(counted.into_iter().map(|(status, rows)| (status.to_owned(), rows.into())));
    json!({"newest": NEWEST, "byStatus": by_status})
}
