//! What the payments service and its card processor do, around the service's own decisions.

use payments_service::doubt::Finding;
use payments_service::payment::{AttemptOutcome, Change, PaymentStatus, Posting};
use payments_service::processor::{Record, Verdict};
use shared_events::events::ProcessedStatus;
use uuid::Uuid;

use crate::mail::{Asked, Mail, Told};
use crate::rows::{BILL, Owner, PaymentRow, attempt_id, card_summary};
use crate::rules::Rules;
use crate::saga::{Pace, Saga};

/// What the processor will say to a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Card {
    Good,
    Bad,
}

/// A row of `payments.attempts`, with what the processor and the ledger hold of the attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub card: Card,
    pub outcome: AttemptOutcome,
    pub request: Request,
    pub book: Option<Entry>,
    pub charges_posted: u8,
    pub refunds_posted: u8,
}

/// The request to charge the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    Unsent,
    /// It may reach the processor at any time from now on.
    Sent,
}

/// What the processor's book says of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    Approved,
    Declined,
    Voided,
    Refunded,
}

/// What the payments service decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentDecision {
    Begin(Card),
    Settle(usize, Entry),
    Cancel,
    Refund,
}

impl PaymentDecision {
    /// By the service's own functions.
    fn on(self, read: PaymentRow, new_attempt: usize, rules: &Rules) -> Option<Change> {
        let payment = read.read();
        match self {
            Self::Begin(_) => (rules.begin)(&payment, attempt_id(new_attempt), &card_summary()).ok(),
            Self::Settle(attempt, entry) => (rules.settle)(&payment, attempt_id(attempt), &entry.verdict()),
            Self::Cancel => (rules.cancel_payment)(&payment),
            Self::Refund => (rules.refund)(&payment),
        }
    }
}

impl Entry {
    /// A refund is a charge that was given back.
    fn verdict(self) -> Verdict {
        match self {
            Self::Approved | Self::Refunded => Verdict::Approved,
            Self::Declined => Verdict::Declined(String::new()),
            Self::Voided => Verdict::Voided,
        }
    }

    /// The book, as the processor reads from it.
    fn read(book: Option<Self>) -> Record {
        match book {
            None => Record::NotFound,
            Some(Self::Refunded) => Record::Refunded,
            Some(entry) => Record::Ended(entry.verdict()),
        }
    }

    /// What the service takes the book to say.
    fn found(verdict: &Verdict, is_cancelled: bool) -> Self {
        match verdict {
            Verdict::Approved if is_cancelled => Self::Refunded,
            Verdict::Approved => Self::Approved,
            Verdict::Declined(_) => Self::Declined,
            Verdict::Voided => Self::Voided,
        }
    }
}

impl Saga {
    /// `order_events::on_payment_create` and `on_payment_cancel`: acknowledged when there is nothing left to commit.
    pub fn do_what_was_asked(&mut self, index: usize, pace: Pace, rules: &Rules) -> Option<()> {
        let Mail { event, way } = *self.asked.get(index).filter(|mail| mail.way.in_network)?;
        if self.has_done(event, rules) {
            self.asked[index].way = (rules.acknowledge)(way);
            return Some(());
        }
        match event {
            // One statement, which nobody can come between.
            Asked::Create => self.create(rules).filter(|()| pace == Pace::AtOnce),
            Asked::Cancel(_) => self.decide_payment(PaymentDecision::Cancel, pace, rules),
        }
    }

    /// Whether nothing is left to do about the event.
    pub fn has_done(&self, event: Asked, rules: &Rules) -> bool {
        match event {
            Asked::Create => (rules.create)(self.payment).is_none(),
            Asked::Cancel(_) => {
                self.payment.is_some_and(|payment| PaymentDecision::Cancel.on(payment, 0, rules).is_none())
            }
        }
    }

    /// `payments::create`, with the event that is committed where a tombstone is found.
    fn create(&mut self, rules: &Rules) -> Option<()> {
        let created = (rules.create)(self.payment)?;
        self.payment = Some(created);
        if created.status == PaymentStatus::Cancelled {
            self.told.push(Mail {
                event: Told { status: ProcessedStatus::Cancelled, version: created.version },
                way: (rules.commit)(),
            });
        }
        Some(())
    }

    /// `pay::pay`, for a payment whose owner is known.
    pub fn pay(&mut self, card: Card, pace: Pace, rules: &Rules) -> Option<()> {
        let is_found = self.payment.is_some_and(|payment| payment.owner == Owner::Known);
        is_found.then(|| self.decide_payment(PaymentDecision::Begin(card), pace, rules)).flatten()
    }

    /// `pay::charge`, its first half.
    pub fn send_charge(&mut self, attempt: usize) -> Option<()> {
        let is_awaited = self.payments_memory.awaited.contains(&attempt);
        is_awaited.then(|| self.attempts[attempt].request = Request::Sent)
    }

    /// `Sandbox::write_down`: an attempt that is in the book already is not charged.
    pub fn charge_arrives(&mut self, attempt: usize) -> Option<()> {
        let attempt = self.attempts.get_mut(attempt).filter(|attempt| attempt.request == Request::Sent)?;
        attempt.book.get_or_insert(match attempt.card {
            Card::Good => Entry::Approved,
            Card::Bad => Entry::Declined,
        });
        Some(())
    }

    /// `pay::charge`, its second half.
    pub fn answer(&mut self, attempt: usize, pace: Pace, rules: &Rules) -> Option<()> {
        let asked = self.attempts.get(attempt).filter(|asked| asked.request == Request::Sent)?;
        // It was answered before the money was given back.
        let entry = asked.book.map(|entry| if entry == Entry::Refunded { Entry::Approved } else { entry })?;
        self.stop_waiting(attempt)?;
        match self.decide_payment(PaymentDecision::Settle(attempt, entry), pace, rules) {
            None if pace == Pace::Held => None,
            _ => Some(()),
        }
    }

    pub fn stop_waiting(&mut self, attempt: usize) -> Option<()> {
        take_out(&mut self.payments_memory.awaited, attempt)
    }

    /// `settlement::settle_charge`, its first half. It may come at any time: how late a charge is depends on clocks.
    pub fn look_up(&mut self, pace: Pace, rules: &Rules) -> Option<()> {
        let payment = self.payment.filter(|payment| payment.status == PaymentStatus::Processing)?;
        let attempt = payment.attempt?;
        match (rules.find)(Entry::read(self.attempts[attempt].book)) {
            Finding::Over { verdict, is_cancelled } => {
                let entry = Entry::found(&verdict, is_cancelled);
                self.decide_payment(PaymentDecision::Settle(attempt, entry), pace, rules)
            }
            Finding::InDoubt if pace == Pace::AtOnce && !self.payments_memory.doubted.contains(&attempt) => {
                self.payments_memory.doubted.push(attempt);
                Some(())
            }
            Finding::InDoubt => None,
        }
    }

    /// `settlement::settle_charge`, its second half, with `Sandbox::void`.
    pub fn void(&mut self, attempt: usize, pace: Pace, rules: &Rules) -> Option<()> {
        take_out(&mut self.payments_memory.doubted, attempt)?;
        let book = &mut self.attempts[attempt].book;
        book.get_or_insert(Entry::Voided);
        let Finding::Over { verdict, is_cancelled } = (rules.find)(Entry::read(*book)) else { return Some(()) };
        let entry = Entry::found(&verdict, is_cancelled);
        match self.decide_payment(PaymentDecision::Settle(attempt, entry), pace, rules) {
            None if pace == Pace::Held => None,
            _ => Some(()),
        }
    }

    /// `settlement::settle_refund`, its first half, with `Sandbox::refund`.
    pub fn give_back(&mut self) -> Option<()> {
        let payment = self.payment.filter(|payment| payment.status == PaymentStatus::Refunding)?;
        let book = &mut self.attempts[payment.attempt?].book;
        (*book == Some(Entry::Approved)).then(|| *book = Some(Entry::Refunded))
    }

    /// `settlement::settle_refund`, its second half: a lost answer is asked for again.
    pub fn record_refund(&mut self, pace: Pace, rules: &Rules) -> Option<()> {
        let attempt = self.payment.and_then(|payment| payment.attempt)?;
        let is_refunded = self.attempts[attempt].book == Some(Entry::Refunded);
        is_refunded.then(|| self.decide_payment(PaymentDecision::Refund, pace, rules)).flatten()
    }

    /// Reads, decides, and stores now or later; `None` when there is nothing to do.
    fn decide_payment(&mut self, decision: PaymentDecision, pace: Pace, rules: &Rules) -> Option<()> {
        let mut read = self.payment;
        if let (PaymentDecision::Settle(_, Entry::Refunded), Some(payment)) = (decision, &mut read) {
            // As `settlement::settle_charge` does.
            payment.cancel_requested = true;
        }
        match pace {
            Pace::AtOnce => self.store_payment(read, decision, rules),
            Pace::Held if self.payments_memory.held.is_none() => {
                if let Some(payment) = read {
                    decision.on(payment, self.attempts.len(), rules)?;
                }
                self.payments_memory.held = Some((read, decision));
                Some(())
            }
            Pace::Held => None,
        }
    }

    /// `payments::apply`, if the row is still the one that was read; `tombstones::leave`, if there was none.
    pub fn store_payment(&mut self, read: Option<PaymentRow>, decision: PaymentDecision, rules: &Rules) -> Option<()> {
        let Some(read) = read else {
            self.payment.get_or_insert(PaymentRow::TOMBSTONE);
            return Some(());
        };
        let change = decision.on(read, self.attempts.len(), rules)?;
        let stored = self.payment.as_mut().filter(|stored| (rules.is_current)(change.expected_version, stored.version));
        if let Some(payment) = stored {
            *payment = payment.update(&change);
            let told = change.event.as_ref().map(|event| Told { status: event.status, version: event.version });
            self.told.extend(told.map(|event| Mail { event, way: (rules.commit)() }));
            self.record_attempt(decision, &change);
            self.post(change.posting);
        }
        Some(())
    }

    /// The attempts in `payments::apply`. Whoever begins one goes on to ask the processor.
    fn record_attempt(&mut self, decision: PaymentDecision, change: &Change) {
        let (Some(outcome), Some(id)) = (change.attempt_outcome, change.attempt_id) else { return };
        if let PaymentDecision::Begin(card) = decision {
            self.payments_memory.awaited.push(self.attempts.len());
            let request = Request::Unsent;
            self.attempts.push(Attempt { card, outcome, request, book: None, charges_posted: 0, refunds_posted: 0 });
        } else {
            let mut attempts = (0..).zip(&mut self.attempts);
            let ended = attempts.find_map(|(number, attempt)| (attempt_id(number) == id).then_some(attempt));
            ended.expect("only an attempt that began can end").outcome = outcome;
        }
    }

    /// The ledger in `payments::apply`: which charge or refund it is, its transaction's id tells.
    fn post(&mut self, posting: Option<Posting>) {
        let Some(posting) = posting else { return };
        for (number, attempt) in (0..).zip(&mut self.attempts) {
            let charge = attempt_id(number).0;
            if posting.amount == BILL && posting.tx_id == charge {
                attempt.charges_posted += 1;
            } else if posting.amount.0 == -BILL.0 && posting.tx_id == Uuid::new_v5(&charge, b"refund") {
                attempt.refunds_posted += 1;
            }
        }
    }
}

fn take_out(attempts: &mut Vec<usize>, attempt: usize) -> Option<()> {
    let position = attempts.iter().position(|held| *held == attempt)?;
    attempts.remove(position);
    Some(())
}
