//! The refusals that only this service has.

use axum::http::StatusCode;
use serde_json::json;
use service_kit::idempotency::{key_in_use, key_reused};
use service_kit::problem::Problem;

use crate::pay::PayError;
use crate::payment::NotPayable;

/// There is no such payment, or it is somebody else's.
pub fn payment_not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "payment_not_found",
        "There is no such payment",
        "Check the order's id; the payment of a new order may need a moment.",
    )
}

/// The processor said no.
pub fn card_declined(decline_code: Option<&str>) -> Problem {
    Problem::new(
        StatusCode::PAYMENT_REQUIRED,
        "card_declined",
        "The card was declined",
        "Nothing was charged: pay again, with another card if need be.",
    )
    .with("declineCode", json!(decline_code))
}

/// The order was cancelled; if anything was charged, it goes back.
pub fn payment_cancelled() -> Problem {
    conflict("payment_cancelled", "The order was cancelled", "It can no longer be paid; anything charged is refunded.")
}

impl From<PayError> for Problem {
    fn from(refusal: PayError) -> Self {
        match refusal {
            PayError::NotFound => payment_not_found(),
            PayError::NotPayable(NotPayable::Cancelled) => payment_cancelled(),
            PayError::NotPayable(NotPayable::AlreadyPaid) => {
                conflict("payment_already_paid", "The order is paid", "There is nothing more to pay.")
            }
            PayError::NotPayable(NotPayable::InProgress) => conflict(
                "payment_in_progress",
                "The order is being paid",
                "Another attempt is running: read the payment in a moment to see how it ended.",
            )
            .retry_after_seconds(1),
            PayError::KeyReused => key_reused(),
            PayError::KeyInUse => key_in_use(),
            PayError::Voided => Self::unavailable(),
            PayError::Database(problem) => problem,
        }
    }
}

fn conflict(code: &'static str, title: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, code, title, detail)
}
