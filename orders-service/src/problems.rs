//! The refusals that only this service has.

use axum::http::StatusCode;
use service_kit::problem::Problem;

/// There is no such order, or it is somebody else's.
pub fn order_not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "order_not_found",
        "There is no such order",
        "Check the id; GET /api/orders lists your orders.",
    )
}

/// It was delivered.
pub fn order_not_cancellable() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "order_not_cancellable",
        "The order can no longer be cancelled",
        "It has been delivered.",
    )
}
