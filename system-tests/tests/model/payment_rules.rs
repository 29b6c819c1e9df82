//! What happens to the payment, in the model: events of the order, and cards.

use crate::model::Next::{self, Done, Then};
use crate::model::{Attempt, Step, Verdict, World};
use crate::sight::{Booked, Outcome, PaymentSight};
use crate::words::{Answer, Card, Event, Hold, News, PaymentStatus, Place};

impl World {
    pub fn payment_sight(&self) -> PaymentSight {
        let attempts = i32::try_from(self.attempts.len()).expect("few attempts");
        PaymentSight { status: self.payment.status, attempts, decline_code: self.decline_code() }
    }

    pub fn read_payment(&self) -> Answer {
        if self.payment.is_unknown {
            return Answer::problem(404, "payment_not_found");
        }
        Answer::Payment(200, self.payment_sight())
    }

    /// Why the last card was declined, if it was.
    fn decline_code(&self) -> Option<String> {
        let last = self.attempts.last().filter(|attempt| attempt.outcome == Outcome::Declined)?;
        last.card.decline_code().map(str::to_owned)
    }

    /// Every change of the payment goes through here. Ends that concern the order are announced.
    pub fn payment_becomes(&mut self, status: PaymentStatus) {
        self.payment.status = status;
        self.payment.version += 1;
        self.payment.is_due = status == PaymentStatus::Refunding;
        if matches!(
            status,
            PaymentStatus::Paid | PaymentStatus::Declined | PaymentStatus::Cancelled | PaymentStatus::Refunded
        ) && !self.payment.is_unknown
        {
            let news = News { status, version: self.payment.version, decline_code: self.decline_code() };
            self.sent.push(Event::Processed(news));
        }
    }

    pub fn create_payment(&mut self) {
        if self.payment.is_unknown {
            self.payment.is_unknown = false;
            // Pending, unless a cancel came first.
            self.payment_becomes(self.payment.status);
        }
    }

    pub fn cancel_payment(&mut self) {
        match self.payment.status {
            PaymentStatus::Pending | PaymentStatus::Declined => self.payment_becomes(PaymentStatus::Cancelled),
            PaymentStatus::Processing if !self.payment.cancel_requested => {
                self.payment.cancel_requested = true;
                self.payment.version += 1;
            }
            PaymentStatus::Paid => self.payment_becomes(PaymentStatus::Refunding),
            PaymentStatus::Processing
            | PaymentStatus::Cancelled
            | PaymentStatus::Refunding
            | PaymentStatus::Refunded => {}
        }
    }

    pub fn begin_pay(&mut self, card: Card, hold: Option<Hold>) -> Next {
        if self.payment.is_unknown {
            return Done(Answer::problem(404, "payment_not_found"));
        }
        match self.payment.status {
            PaymentStatus::Pending | PaymentStatus::Declined => {}
            PaymentStatus::Processing => return Done(Answer::problem(409, "payment_in_progress")),
            PaymentStatus::Paid => return Done(Answer::problem(409, "payment_already_paid")),
            PaymentStatus::Cancelled | PaymentStatus::Refunding | PaymentStatus::Refunded => {
                return Done(Answer::problem(409, "payment_cancelled"));
            }
        }
        let attempt = self.attempts.len();
        self.attempts.push(Attempt { card, outcome: Outcome::Started, booked: None, refund_stumbles: false });
        self.payment_becomes(PaymentStatus::Processing);
        match hold {
            Some(Hold { place: Place::BeforeCharging, ticket }) => self.hold(ticket, Step::Charge(attempt, None)),
            hold => Then(Step::Charge(attempt, hold)),
        }
    }

    fn hold(&mut self, ticket: u32, step: Step) -> Next {
        self.held.push((ticket, step));
        Done(Answer::Waits)
    }

    /// The processor books an attempt once, and never one that was voided before it came.
    pub fn charge(&mut self, number: usize, hold: Option<Hold>) -> Next {
        let attempt = &mut self.attempts[number];
        if attempt.card != Card::Lost && attempt.booked.is_none() {
            let is_declined = attempt.card.decline_code().is_some();
            attempt.booked = Some(if is_declined { Booked::Declined } else { Booked::Approved });
            attempt.refund_stumbles = attempt.card == Card::StumblesOnRefund;
        }
        let answer = match (attempt.card, attempt.verdict()) {
            (Card::Lost | Card::ChargedInSilence, _) | (_, None) => Step::GetNoAnswer(number),
            (_, Some(verdict)) => Step::RecordAndAnswer(number, verdict),
        };
        match hold {
            Some(hold) => self.hold(hold.ticket, answer),
            None => Then(answer),
        }
    }

    /// The processor did not answer: the payment as it was begun.
    pub fn answer_of_silence(number: usize) -> Answer {
        let attempts = i32::try_from(number + 1).expect("few attempts");
        Answer::Payment(202, PaymentSight { status: PaymentStatus::Processing, attempts, decline_code: None })
    }

    /// The end of an attempt counts once, whoever hears of it first.
    pub fn record(&mut self, number: usize, verdict: Verdict) {
        if self.payment.status != PaymentStatus::Processing || number + 1 != self.attempts.len() {
            return;
        }
        let (outcome, next, next_if_cancelled) = match verdict {
            Verdict::Approved => (Outcome::Approved, PaymentStatus::Paid, PaymentStatus::Refunding),
            Verdict::Declined => (Outcome::Declined, PaymentStatus::Declined, PaymentStatus::Cancelled),
            Verdict::Voided => (Outcome::Voided, PaymentStatus::Pending, PaymentStatus::Cancelled),
        };
        self.attempts[number].outcome = outcome;
        if verdict == Verdict::Approved {
            self.ledger.push(self.bill);
        }
        self.payment_becomes(if self.payment.cancel_requested { next_if_cancelled } else { next });
    }

    pub fn answer_to_pay(&self) -> Answer {
        match self.payment.status {
            PaymentStatus::Paid => Answer::Payment(200, self.payment_sight()),
            // Another attempt runs by now.
            PaymentStatus::Processing => Answer::Payment(202, self.payment_sight()),
            PaymentStatus::Declined => Answer::Problem(402, "card_declined".to_owned(), self.decline_code()),
            PaymentStatus::Cancelled | PaymentStatus::Refunding | PaymentStatus::Refunded => {
                Answer::problem(409, "payment_cancelled")
            }
            // The settlement came first and voided the attempt.
            PaymentStatus::Pending => Answer::problem(503, "service_unavailable"),
        }
    }
}
