//! `cargo xtask story`: everything that both services know of one order, in the order in which it happened.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use crate::admin::{Admin, Service};
use crate::paths::StackDir;
use crate::print;

/// The exit code is 0 only if the order is known.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The order's id
    order_id: String,
    #[command(flatten)]
    dir: StackDir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let admin = Admin::of_stack(&options.dir.open()?)?;
    let mut halves = Vec::new();
    for service in Service::ALL {
        if let Some(half) = admin.ask(service, "GET", &format!("/story/{}", options.order_id))? {
            halves.push((service, half["data"].clone()));
        }
    }
    if halves.is_empty() {
        bail!("no service knows an order {}", options.order_id);
    }
    let story = joined(&options.order_id, halves);
    print::out(if options.json { serde_json::to_string_pretty(&story)? } else { text(&story) });
    Ok(ExitCode::SUCCESS)
}

/// Both halves as one.
fn joined(order_id: &str, halves: Vec<(Service, Value)>) -> Value {
    let (mut rows, mut entries) = (Map::new(), Vec::new());
    for (service, mut half) in halves {
        for entry in half["entries"].as_array_mut().into_iter().flatten() {
            entry["service"] = service.name().into();
            entries.push(entry.take());
        }
        rows.insert(service.name().to_owned(), half["row"].take());
    }
    // Times of one clock and one format, but for their fractions, which may be shorter.
    entries.sort_by_key(|entry| instant(&entry["at"]));
    let traceparent = rows.get(Service::Orders.name()).and_then(|row| row["traceparent"].as_str());
    let trace_id = traceparent.and_then(|traceparent| traceparent.split('-').nth(1)).map(str::to_owned);
    json!({"orderId": order_id, "traceId": trace_id, "rows": rows, "entries": entries})
}

/// What sorts as the time does: `2026-11-23T01:48:15.857534Z` without its `Z`.
fn instant(at: &Value) -> String {
    at.as_str().unwrap_or_default().trim_end_matches('Z').to_owned()
}

fn text(story: &Value) -> String {
    let mut text = format!("order     {}\n", plain(&story["orderId"]));
    let _ = writeln!(text, "trace     {}", plain(&story["traceId"]));
    for (service, row) in story["rows"].as_object().into_iter().flatten() {
        let _ = writeln!(text, "{service:<9} {} (version {})", plain(&row["status"]), plain(&row["version"]));
    }
    text.push('\n');
    for entry in story["entries"].as_array().into_iter().flatten() {
        let (at, service, what) = (plain(&entry["at"]), plain(&entry["service"]), plain(&entry["what"]));
        let details = entry["details"].as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        let details: Vec<_> = details.map(|(name, value)| format!("{name}={}", plain(value))).collect();
        let _ = writeln!(text, "{at:<27}  {service:<8}  {what:<34}  {}", details.join(" "));
    }
    text.trim_end().to_owned()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_are_told_in_the_order_of_time() {
        let entry = |at: &str, what: &str| json!({"at": at, "what": what, "details": {"id": 1, "cause": null}});
        let orders = json!({
            "row": {"status": "confirmed", "version": 2, "traceparent": "00-0af7-b7ad-01"},
            "entries": [entry("2026-01-01T10:00:00Z", "placed"), entry("2026-01-01T10:00:00.5Z", "confirmed")],
        });
        let payments = json!({"row": null, "entries": [entry("2026-01-01T10:00:00.25Z", "held")]});
        let story = joined("x", vec![(Service::Orders, orders), (Service::Payments, payments)]);
        let told: Vec<_> =
            story["entries"].as_array().expect("a list").iter().map(|entry| plain(&entry["what"])).collect();
        assert_eq!(told, ["placed", "held", "confirmed"]);
        assert_eq!(story["traceId"], "0af7");
        let text = text(&story);
        assert!(text.contains("payments  held") && text.ends_with("id=1"), "{text}");
    }
}
