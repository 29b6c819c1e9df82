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

/// The trace that a request names, or a new one.
pub fn of_request(headers: &HeaderMap) -> String {
    headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok())
        .filter(|value| is_traceparent(value))
        .map_or_else(new_traceparent, str::to_owned)
}

fn new_traceparent() -> String {
    let span = Uuid::new_v4().as_u64_pair().0;
    format!("00-{}-{span:016x}-01", Uuid::new_v4().simple())
}

fn is_traceparent(value: &str) -> bool {
    let fields: Vec<&str> = value.split('-').collect();
    let [version, trace_id, parent_id, flags] = fields[..] else {
        return false;
    };
    let is_hex = |field: &str, length| {
        field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_not_zero = |field: &str| field.bytes().any(|byte| byte != b'0');
    version == "00"
        && is_hex(trace_id, 32)
        && is_not_zero(trace_id)
        && is_hex(parent_id, 16)
        && is_not_zero(parent_id)
        && is_hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_kept_when_it_is_one() {
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", given.parse().expect("a header"));
        assert_eq!(of_request(&headers), given);
    }

    #[test]
    fn anything_else_starts_a_new_trace() {
        for given in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", given.parse().expect("a header"));
            let made = of_request(&headers);
            assert_ne!(made, given);
            assert!(is_traceparent(&made), "{made}");
        }
    }
}
