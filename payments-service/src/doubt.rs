//! What is done about a charge that has no answer. Pure: the settlement acts by it, and so does the model checker.

use crate::processor::{Record, Verdict};

/// What follows from what the processor's book says of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is over, which is recorded.
    Over {
        /// How it ended.
        verdict: Verdict,
        /// Whether the payment goes the way of a cancelled one.
        is_cancelled: bool,
    },
    /// It is voided, and what the book says then is looked at in the same way.
    InDoubt,
}

/// Only what the book says ends an attempt.
pub fn finding(record: Record) -> Finding {
    match record {
        Record::Ended(verdict) => Finding::Over { verdict, is_cancelled: false },
        // Somebody gave the money back at the processor, which is what a cancel does.
        Record::Refunded => Finding::Over { verdict: Verdict::Approved, is_cancelled: true },
        // That is no proof: the charge may still be on its way. Another card may be tried once this one is void.
        Record::NotFound => Finding::InDoubt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_is_not_in_the_book_is_not_over() {
        assert_eq!(finding(Record::NotFound), Finding::InDoubt);
        for verdict in [Verdict::Approved, Verdict::Declined("lost_card".to_owned()), Verdict::Voided] {
            let expected = Finding::Over { verdict: verdict.clone(), is_cancelled: false };
            assert_eq!(finding(Record::Ended(verdict)), expected);
        }
    }

    #[test]
    fn a_charge_that_was_given_back_is_a_cancelled_one() {
        let expected = Finding::Over { verdict: Verdict::Approved, is_cancelled: true };
        assert_eq!(finding(Record::Refunded), expected);
    }
}
