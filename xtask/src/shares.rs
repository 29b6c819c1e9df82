//! What each replica of a service has done since it was started, as its metrics tell.

use serde_json::{Map, Value, json};

use crate::admin::{Admin, Service};

/// What is called how, and the metrics of which it is the sum.
const SHARES: [(&str, &str); 7] = [
    ("requests", "http_server_request_duration_seconds_count"),
    ("eventsPublished", "events_published_total"),
    ("eventsApplied", "event_age_seconds_count"),
    ("deliveries", "deliveries_total"),
    ("expiries", "expiries_total"),
    ("webhookCalls", "webhook_request_duration_seconds_count"),
    ("processorCalls", "processor_request_duration_seconds_count"),
];

/// By the replica's name; a replica that does not answer has none.
pub(crate) fn of_replicas(admin: &Admin, service: Service) -> Value {
    let share =
        |(name, text): (String, anyhow::Result<String>)| (name, text.map_or(Value::Null, |text| of_text(&text)));
    admin.metrics(service).map(share).collect::<Map<_, _>>().into()
}

/// `requests 17, eventsPublished 4`.
pub(crate) fn in_words(share: &Value) -> String {
    let Some(parts) = share.as_object() else { return "does not answer".to_owned() };
    parts.iter().map(|(part, count)| format!("{part} {count}")).collect::<Vec<_>>().join(", ")
}

/// What only the other service does is left out.
fn of_text(metrics: &str) -> Value {
    let shares = SHARES.iter().filter_map(|(share, metric)| Some(((*share).to_owned(), json!(sum(metrics, metric)?))));
    shares.collect::<Map<_, _>>().into()
}

/// Over all labels; none if there is no such metric.
fn sum(metrics: &str, metric: &str) -> Option<u64> {
    let of_line = |line: &str| {
        let labels = line.strip_prefix(metric)?;
        let value = if labels.starts_with('{') { labels.rsplit_once("} ")?.1 } else { labels.strip_prefix(' ')? };
        value.split(' ').next()?.parse::<u64>().ok()
    };
    metrics.lines().filter_map(of_line).reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_sum_over_all_labels() {
        let metrics = "# TYPE events_published counter\n\
                       events_published_total{event=\"a {b} c\",again=\"false\"} 17\n\
                       events_published_total{event=\"d\",again=\"true\"} 2\n\
                       events_published_total_of_another 5\n\
                       deliveries_total 0\n";
        assert_eq!(of_text(metrics), json!({"eventsPublished": 19, "deliveries": 0}));
    }
}
