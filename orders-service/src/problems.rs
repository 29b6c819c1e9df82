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
    /// As many as there may be.
    TOO_MANY_STREAMS: SERVICE_UNAVAILABLE "too_many_streams", "Too many streams are open",
        "Close one that is no longer needed, or try again soon: another replica may have room.", retry after 5;
    /// There is no such webhook, or it is somebody else's.
    WEBHOOK_NOT_FOUND: NOT_FOUND "webhook_not_found", "There is no such webhook",
        "Check the id; GET /api/webhooks lists your webhooks.";
    /// The webhook has no such delivery.
    DELIVERY_NOT_FOUND: NOT_FOUND "delivery_not_found", "There is no such delivery",
        "Check the id; they are kept for 30 days, and GET /api/webhooks/{id}/deliveries lists them.";
    /// Its owner has as many as there may be.
    TOO_MANY_WEBHOOKS: CONFLICT "too_many_webhooks", "You have ten webhooks, which is as many as there may be",
        "Delete one that is no longer needed.";
    /// Nothing is sent to it.
    WEBHOOK_DISABLED: CONFLICT "webhook_disabled", "The webhook is disabled", "Enable it first.";
}

/// There is no such order, or it is somebody else's.
pub fn order_not_found() -> Problem {
    Problem::new(&ORDER_NOT_FOUND)
}

/// As many as there may be.
pub fn too_many_streams() -> Problem {
    Problem::new(&TOO_MANY_STREAMS)
}

/// It was delivered.
pub fn order_not_cancellable() -> Problem {
    Problem::new(&ORDER_NOT_CANCELLABLE)
}

/// There is no such webhook, or it is somebody else's.
pub fn webhook_not_found() -> Problem {
    Problem::new(&WEBHOOK_NOT_FOUND)
}

/// The webhook has no such delivery.
pub fn delivery_not_found() -> Problem {
    Problem::new(&DELIVERY_NOT_FOUND)
}

/// Its owner has as many as there may be.
pub fn too_many_webhooks() -> Problem {
    Problem::new(&TOO_MANY_WEBHOOKS)
}

/// Nothing is sent to it.
pub fn webhook_disabled() -> Problem {
    Problem::new(&WEBHOOK_DISABLED)
}
