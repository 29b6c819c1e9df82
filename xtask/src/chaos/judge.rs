//! Which answers are right, whatever goes wrong meanwhile.

use serde_json::Value;

use super::requests::Answer;

/// What clients do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    Create,
    Pay,
    Cancel,
    ReadOrder,
    ReadHistory,
    ReadPayment,
    List,
    /// Reads somebody else's order.
    Trespass,
    HangUp,
}

impl Action {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Pay => "pay",
            Self::Cancel => "cancel",
            Self::ReadOrder => "read order",
            Self::ReadHistory => "read history",
            Self::ReadPayment => "read payment",
            Self::List => "list",
            Self::Trespass => "read another's",
            Self::HangUp => "hang up",
        }
    }

    /// The answers of README.md that such a request may get. That something is down is said by the gateway or by the
    /// service; that an order does not exist is never said to its owner.
    fn may_be_answered(self, status: u16, code: &str) -> bool {
        let is_down = matches!(
            (status, code),
            (429, "too_many_requests") | (502, "bad_gateway") | (503, "service_unavailable") | (504, "gateway_timeout")
        );
        let is_expected = match self {
            Self::Create => matches!((status, code), (201, "") | (409, "idempotency_key_in_use")),
            Self::Pay => matches!(
                (status, code),
                (200 | 202, "")
                    | (402, "card_declined")
                    | (404, "payment_not_found")
                    | (
                        409,
                        "payment_in_progress" | "payment_already_paid" | "payment_cancelled" | "idempotency_key_in_use"
                    )
            ),
            Self::Cancel => matches!((status, code), (200, "") | (409, "order_not_cancellable")),
            Self::ReadPayment => matches!((status, code), (200, "") | (404, "payment_not_found")),
            Self::Trespass => (status, code) == (404, "order_not_found"),
            Self::ReadOrder | Self::ReadHistory | Self::List => status == 200,
            Self::HangUp => false,
        };
        is_down || is_expected
    }
}

/// What is wrong with an answer.
pub(crate) fn complaint(action: Action, answer: &Answer) -> Option<String> {
    if !action.may_be_answered(answer.status, answer.code()) {
        return Some("is not documented".to_owned());
    }
    if answer.status < 300 {
        let is_wrapped = !answer.is_problem && !answer.body["data"].is_null();
        return (!is_wrapped).then(|| "has no data".to_owned());
    }
    let says = |member: &str| answer.body[member].as_str().is_some_and(|text| !text.is_empty());
    let missing = ["type", "title", "detail", "code", "instance", "requestId"].into_iter().find(|member| !says(member));
    match missing {
        _ if !answer.is_problem || answer.body["status"] != answer.status => Some("is no problem document".to_owned()),
        Some(member) => Some(format!("has no {member}")),
        None => None,
    }
}

/// The versions that an answer shows, by what they are versions of.
pub(crate) fn versions(answer: &Answer) -> Vec<(String, i64)> {
    let version = |shown: &Value| {
        let name = match &shown["orderId"] {
            Value::String(order) => format!("payment of {order}"),
            _ => format!("order {}", shown["id"].as_str()?),
        };
        Some((name, shown["version"].as_i64()?))
    };
    match &answer.body["data"] {
        Value::Array(items) => items.iter().filter_map(version).collect(),
        shown => version(shown).into_iter().collect(),
    }
}

/// Whether a request with a key has used it up with this answer: every later answer is then the same.
pub(crate) fn is_final(answer: &Answer) -> bool {
    matches!(answer.status, 200..300 | 402)
}

/// Whether somebody on the way could not do what was asked for, whatever it was.
pub(crate) fn is_refusal(answer: &Answer) -> bool {
    matches!(answer.status, 429 | 500..)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(status: u16, code: &str) -> Answer {
        let body = json!({"type": "/problems/x", "title": "t", "status": status, "detail": "d", "code": code,
            "instance": "/", "requestId": "r"});
        Answer { status, is_problem: true, is_replayed: false, body }
    }

    #[test]
    fn a_defect_is_never_right_and_an_outage_always_is() {
        assert!(complaint(Action::Create, &problem(500, "internal_error")).is_some());
        assert!(complaint(Action::ReadOrder, &problem(404, "order_not_found")).is_some());
        assert_eq!(complaint(Action::ReadOrder, &problem(502, "bad_gateway")), None);
        assert_eq!(complaint(Action::Pay, &problem(402, "card_declined")), None);
    }

    #[test]
    fn an_error_page_is_no_problem_document() {
        let page = Answer { status: 502, is_problem: false, is_replayed: false, body: Value::Null };
        assert!(complaint(Action::List, &page).is_some());
    }
}
