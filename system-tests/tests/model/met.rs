//! What the histories have met, so that a test that meets nothing is no success.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::sight::Sight;
use crate::words::Answer;

/// Codes of refusals, and what an order and its payment were at the same time.
const MUST_MEET: [&str; 20] = [
    "payment_not_found",
    "payment_in_progress",
    "payment_already_paid",
    "payment_cancelled",
    "card_declined",
    "order_not_cancellable",
    // A late charge of an attempt that was voided meanwhile.
    "service_unavailable",
    "Created Pending",
    "Created Processing",
    "Created Paid",
    "Created Declined",
    "Declined Processing",
    "Declined Paid",
    "Confirmed Paid",
    "Delivered Paid",
    "Cancelled Pending",
    "Cancelled Processing",
    "Cancelled Cancelled",
    "Cancelled Refunding",
    "Cancelled Refunded",
];

/// A collection of them.
#[derive(Default)]
pub struct Met(Mutex<BTreeSet<String>>);

impl Met {
    pub fn note(&self, answers: &[Answer], sight: &Sight) {
        let mut met = self.0.lock().expect("nobody panics here");
        for answer in answers {
            if let Answer::Problem(_, code, _) = answer {
                met.insert(code.clone());
            }
        }
        if let Some(payment) = &sight.payment {
            met.insert(format!("{:?} {:?}", sight.order.status, payment.status));
        }
    }

    /// What should have been met and was not.
    pub fn missing(&self) -> Vec<&'static str> {
        let met = self.0.lock().expect("nobody panics here");
        MUST_MEET.into_iter().filter(|what| !met.contains(*what)).collect()
    }
}
