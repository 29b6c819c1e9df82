//! How charges and refunds without an answer come to their end, in the model.

use crate::model::Next::{self, Done, Then};
use crate::model::{Step, World};
use crate::sight::Booked;
use crate::words::{Answer, Line, PaymentStatus};

impl World {
    /// The time of what is unfinished comes.
    pub fn make_due(&mut self, line: Line) -> Next {
        self.payment.is_due = matches!(self.payment.status, PaymentStatus::Processing | PaymentStatus::Refunding);
        Then(Step::Claim(line))
    }

    /// Goes on until nothing is due: a charge may end in a refund that is due at once.
    pub fn claim(&mut self, line: Line) -> Next {
        if !self.payment.is_due {
            return Done(Answer::Nothing);
        }
        self.payment.is_due = false;
        let last = self.attempts.len() - 1;
        match self.payment.status {
            PaymentStatus::Processing => Then(Step::LookUp(last, line)),
            PaymentStatus::Refunding => Then(Step::Refund(last, line)),
            _ => Done(Answer::Nothing),
        }
    }

    pub fn look_up(&self, number: usize, line: Line) -> Next {
        let attempt = &self.attempts[number];
        Then(match (line, attempt.booked, attempt.verdict()) {
            (Line::Dead, ..) => Step::Claim(line),
            (_, None, _) => Step::Void(number, line),
            (_, Some(_), Some(verdict)) => Step::RecordAndGoOn(number, verdict, line),
            // Refunded: then it was recorded long ago.
            (_, Some(_), None) => Step::Claim(line),
        })
    }

    pub fn void(&mut self, number: usize, line: Line) -> Next {
        let attempt = &mut self.attempts[number];
        attempt.booked.get_or_insert(Booked::Voided);
        Then(match (line, attempt.verdict()) {
            (Line::Good, Some(verdict)) => Step::RecordAndGoOn(number, verdict, line),
            _ => Step::Claim(line),
        })
    }

    pub fn refund(&mut self, number: usize, line: Line) -> Next {
        let attempt = &mut self.attempts[number];
        if line == Line::Dead || std::mem::take(&mut attempt.refund_stumbles) {
            return Then(Step::Claim(line));
        }
        attempt.booked = Some(Booked::Refunded);
        Then(if line == Line::Good { Step::RecordRefund(line) } else { Step::Claim(line) })
    }

    pub fn record_refund(&mut self, line: Line) -> Next {
        if self.payment.status == PaymentStatus::Refunding {
            self.ledger.push(-self.bill);
            self.payment_becomes(PaymentStatus::Refunded);
        }
        Then(Step::Claim(line))
    }
}
