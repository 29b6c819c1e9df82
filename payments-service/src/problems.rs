//! The refusals that only this service has.

use serde_json::json;
use service_kit::idempotency::{key_in_use, key_reused};
use service_kit::problem::Problem;
use service_kit::problem_types;

use crate::pay::PayError;
use crate::payment::NotPayable;

problem_types! {
    /// The processor said no.
    CARD_DECLINED: PAYMENT_REQUIRED "card_declined", "The card was declined",
        "Nothing was charged: pay again, with another card if need be.";
    /// There is no such payment, or it is somebody else's.
    PAYMENT_NOT_FOUND: NOT_FOUND "payment_not_found", "There is no such payment",
        "Check the order's id; the payment of a new order may need a moment.";
    /// The order was cancelled; if anything was charged, it goes back.
    PAYMENT_CANCELLED: CONFLICT "payment_cancelled", "The order was cancelled",
        "It can no longer be paid; anything charged is refunded.";
    /// It was paid before.
    PAYMENT_ALREADY_PAID: CONFLICT "payment_already_paid", "The order is paid", "There is nothing more to pay.";
    /// Another attempt has no end yet.
    PAYMENT_IN_PROGRESS: CONFLICT "payment_in_progress", "The order is being paid",
        "Another attempt is running: read the payment in a moment to see how it ended.", retry after 1;
}

/// What only operators meet, on the admin address.
pub mod admin {
    use service_kit::problem_types;

    problem_types! {
        /// There is no such payment, or nobody waits for the processor.
        PAYMENT_NOT_IN_DOUBT: CONFLICT "payment_not_in_doubt", "Nothing about the payment is in doubt",
            "GET /in-doubt lists those that are; a charge may be running until it has had its time.";
    }
}

/// There is no such payment, or nobody waits for the processor.
pub fn payment_not_in_doubt() -> Problem {
    Problem::new(&admin::PAYMENT_NOT_IN_DOUBT)
}

/// There is no such payment, or it is somebody else's.
pub fn payment_not_found() -> Problem {
    Problem::new(&PAYMENT_NOT_FOUND)
}

/// The processor said no.
pub fn card_declined(decline_code: Option<&str>) -> Problem {
    Problem::new(&CARD_DECLINED).with("declineCode", json!(decline_code))
}

/// The order was cancelled; if anything was charged, it goes back.
pub fn payment_cancelled() -> Problem {
    Problem::new(&PAYMENT_CANCELLED)
}

impl From<PayError> for Problem {
    fn from(refusal: PayError) -> Self {
        match refusal {
            PayError::NotFound => payment_not_found(),
            PayError::NotPayable(NotPayable::Cancelled) => payment_cancelled(),
            PayError::NotPayable(NotPayable::AlreadyPaid) => Self::new(&PAYMENT_ALREADY_PAID),
            PayError::NotPayable(NotPayable::InProgress) => Self::new(&PAYMENT_IN_PROGRESS),
            PayError::KeyReused => key_reused(),
            PayError::KeyInUse => key_in_use(),
            PayError::Voided => Self::unavailable(),
            PayError::Database(problem) => problem,
        }
    }
}
