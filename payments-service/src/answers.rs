//! What was answered to pays that had an Idempotency-Key, kept so that a repetition is answered the same.
//!
//! The claim of the key is committed with the attempt, and the answer with its end, both in [`crate::payments::apply`].

use service_kit::idempotency::Claim;
use service_kit::pool::Database;
use shared_events::ids::OrderId;
use sqlx::types::Json;

use crate::payment::Payment;
use crate::processor::AttemptId;

/// A pay that had a key.
#[derive(Debug)]
pub struct KnownPay {
    /// The attempt that was begun with the key.
    pub attempt_id: AttemptId,
    /// Tells whether it was the same card.
    pub fingerprint: Vec<u8>,
    /// The first request with the key.
    pub request_id: Option<String>,
    /// The payment as it was answered; `None` while the first request is running.
    pub answer: Option<Json<Payment>>,
}

/// The pay that came first with this key. None when there was none, or when it was voided and charged nothing.
pub async fn find(database: &Database, claim: &Claim) -> Result<Option<KnownPay>, sqlx::Error> {
    sqlx::query_as!(
        KnownPay,
        r#"
        select attempt_id as "attempt_id: AttemptId", fingerprint, request_id, answer as "answer: Json<Payment>"
        from payments.idempotency_keys where scope = $1
        "#,
        claim.scope.as_bytes(),
    )
    .fetch_optional(database)
    .await
}

/// Makes the order's payment, as it is now, the answer of the claim's pay, unless it has one: what an attempt without an end
/// is answered with.
pub async fn record(database: &Database, claim: &Claim, order: OrderId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update payments.idempotency_keys as key
        set answer = to_jsonb(payments)
        from payments.payments
        where key.scope = $1 and key.answer is null and payments.order_id = $2
        "#,
        claim.scope.as_bytes(),
        order as OrderId,
    )
    .execute(database)
    .await
    .map(drop)
}
