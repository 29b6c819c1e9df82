//! The refusals that only this service has.

use service_kit::problem::Problem;
use service_kit::problem_types;

problem_types! {
    /// There is no such order, or it is somebody else's.
    ORDER_NOT_FOUND: NOT_FOUND "order_not_found", "There is no such order",
        "Check the id; GET /api/orders lists your orders.";
    /// It was delivered.
    ORDER_NOT_CANCELLABLE: CONFLICT "order_not_cancellable", "The order can no longer be cancelled",
        "It has been delivered.";
}

/// There is no such order, or it is somebody else's.
pub fn order_not_found() -> Problem {
    Problem::new(&ORDER_NOT_FOUND)
}

/// It was delivered.
pub fn order_not_cancellable() -> Problem {
    Problem::new(&ORDER_NOT_CANCELLABLE)
}
