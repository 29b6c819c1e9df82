//! The trace that a request or an event belongs to, as W3C Trace Context writes it
//! (<https://www.w3.org/TR/trace-context/#traceparent-header>), carried along without being passed through every call.

use axum::http::HeaderMap;
use uuid::Uuid;

tokio::task_local! {
    static TRACEPARENT: Option<String>;
}

/// The `traceparent` of the work that is running, if it has one.
pub fn current() -> Option<String> {
    TRACEPARENT.try_with(Clone::clone).ok().flatten()
}

/// Runs `work` as part of the trace.
pub async fn scope<Work: Future>(traceparent: Option<String>, work: Work) -> Work::Output {
    TRACEPARENT.scope(traceparent, work).await
}

/// The trace that a request names, if it does. Two names are none.
pub fn of_request(headers: &HeaderMap) -> Option<String> {
    let mut given = headers.get_all("traceparent").iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    value.to_str().ok().and_then(known_part)
}

/// A new trace.
pub fn new_traceparent() -> String {
    format!("00-{}-{}-01", Uuid::new_v4().simple(), new_span())
}

/// A new span of the same trace.
pub fn child(traceparent: &str) -> String {
    format!("00-{}-{}-{}", trace_id(traceparent), new_span(), traceparent.get(53..55).unwrap_or("01"))
}

/// The part that is the same in all of a trace.
pub fn trace_id(traceparent: &str) -> &str {
    traceparent.get(3..35).unwrap_or_default()
}

/// The same of a row that may have none, for the log.
pub fn id_of(traceparent: Option<&String>) -> &str {
    traceparent.map_or("", |traceparent| trace_id(traceparent))
}

fn new_span() -> String {
    format!("{:016x}", Uuid::new_v4().as_u64_pair().0)
}

/// What version 00 says of a `traceparent`. A later version may have more behind it, and means the same by the rest.
fn known_part(value: &str) -> Option<String> {
    let fields: Vec<&str> = value.split('-').collect();
    let [version, trace_id, parent_id, flags, ref more @ ..] = fields[..] else { return None };
    let is_hex = |field: &str, length| {
        field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |field: &str, length| is_hex(field, length) && field.bytes().any(|byte| byte != b'0');
    let is_version = is_hex(version, 2) && version != "ff" && (version != "00" || more.is_empty());
    let is_whole = is_version && is_id(trace_id, 32) && is_id(parent_id, 16) && is_hex(flags, 2);
    is_whole.then(|| format!("00-{trace_id}-{parent_id}-{flags}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_traceparent_is_kept_when_it_is_one() {
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", given.parse().expect("a header"));
        assert_eq!(of_request(&headers).as_deref(), Some(given));
        headers.insert(
            "traceparent",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more".parse().expect("a header"),
        );
        assert_eq!(of_request(&headers).as_deref(), Some(given));
        headers.append("traceparent", given.parse().expect("a header"));
        assert_eq!(of_request(&headers), None, "two are none");
    }

    #[test]
    fn anything_else_names_no_trace() {
        for given in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", given.parse().expect("a header"));
            assert_eq!(of_request(&headers), None, "{given}");
        }
    }

    #[test]
    fn what_is_made_here_is_understood_here() {
        let made = new_traceparent();
        assert_eq!(known_part(&made).as_ref(), Some(&made));
        let below = child(&made);
        assert_eq!(known_part(&below).as_ref(), Some(&below));
        assert_eq!(trace_id(&below), trace_id(&made));
        assert_ne!(below, made);
    }

    proptest! {
        #[test]
        fn any_header_names_a_trace_or_none(
            text in "([0-9a-f]{2}-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{2}|[0-9a-fx-]{0,60}|[ -~]{0,60})",
        ) {
            let headers = HeaderMap::from_iter([("traceparent".parse().expect("a name"), text.parse().expect("a header"))]);
            let trace = of_request(&headers);
            prop_assert_eq!(trace.as_deref().and_then(known_part), trace);
        }
    }
}
