//! A payment as its owner is shown it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_events::ids::{OrderId, PaymentId, UserId};
use shared_events::money::{Currency, MinorUnits};
use utoipa::ToSchema;

use crate::payment::{Payment, PaymentStatus};

/// The payment of an order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Payment)]
pub struct ShownPayment<'a> {
    /// Names the payment; its routes take the id of the order.
    id: PaymentId,
    /// The order it is for.
    order_id: OrderId,
    /// Where it is in its life.
    status: PaymentStatus,
    /// Whether the card processor has answered for a card.
    processed: bool,
    // These three are missing only until the order is known, and till then it is nobody's and shown to nobody.
    /// What is due, in minor units of `currency`.
    #[schema(value_type = MinorUnits)]
    bill: Option<MinorUnits>,
    /// What the bill is counted in.
    #[schema(value_type = Currency)]
    currency: Option<Currency>,
    /// The card of the newest attempt.
    #[schema(required)]
    card: Option<ShownCard<'a>>,
    /// How many cards were tried, one that is tried again included.
    attempts: i32,
    /// Why the newest card was declined, if it was: `generic_decline`, `insufficient_funds`, `lost_card`, `stolen_card`,
    /// `expired_card`, `incorrect_cvc`, `incorrect_number` or `processing_error`. New ones may come.
    #[schema(required, examples("insufficient_funds"))]
    decline_code: Option<&'a str>,
    /// Who placed the order.
    #[schema(value_type = UserId)]
    created_by: Option<&'a UserId>,
    /// Grows with every change; the entity tag is made of it.
    version: i32,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

/// What is kept of a card.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Card)]
pub struct ShownCard<'a> {
    /// The network, as far as the first digits tell; `unknown` if they do not.
    #[schema(value_type = String, examples("visa"))]
    brand: Option<&'a str>,
    /// The last four digits.
    #[schema(pattern = "^[0-9]{4}$", examples("4242"))]
    last4: &'a str,
    /// The month in which it expires.
    #[schema(value_type = i16, minimum = 1, maximum = 12)]
    exp_month: Option<i16>,
    /// The year in which it expires.
    #[schema(value_type = i16)]
    exp_year: Option<i16>,
}

impl<'a> From<&'a Payment> for ShownPayment<'a> {
    fn from(payment: &'a Payment) -> Self {
        let card = payment.card_last4.as_deref().map(|last4| ShownCard {
            brand: payment.card_brand.as_deref(),
            last4,
            exp_month: payment.card_exp_month,
            exp_year: payment.card_exp_year,
        });
        Self {
            id: payment.id,
            order_id: payment.order_id,
            status: payment.status,
            processed: payment.status.is_processed(),
            bill: payment.bill,
            currency: payment.currency,
            card,
            attempts: payment.attempts,
            decline_code: payment.decline_code.as_deref(),
            created_by: payment.created_by.as_ref(),
            version: payment.version,
            created_at: payment.created_at,
            updated_at: payment.updated_at,
        }
    }
}
