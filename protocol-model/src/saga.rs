//! Everything there is about one order: rows, outboxes, messages, the processor's book, and what is in memory.

use payments_service::payment::AttemptOutcome;

use crate::mail::{Asked, Mail, Outbox, Told, Transport};
use crate::orders::OrderDecision;
use crate::payments::{Attempt, Card, PaymentDecision, Request};
use crate::rows::{OrderRow, PaymentRow};
use crate::rules::Rules;

/// One order on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Saga {
    pub order: Option<OrderRow>,
    pub payment: Option<PaymentRow>,
    pub attempts: Vec<Attempt>,
    pub asked: Vec<Mail<Asked>>,
    pub told: Vec<Mail<Told>>,
    pub orders_memory: OrdersMemory,
    pub payments_memory: PaymentsMemory,
}

/// What a crash of the orders service loses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OrdersMemory {
    /// A decision that is not stored yet, with the row as it was read for it.
    pub held: Option<(OrderRow, OrderDecision)>,
}

/// What a crash of the payments service loses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PaymentsMemory {
    /// A decision that is not stored yet, with the row as it was read for it.
    pub held: Option<(Option<PaymentRow>, PaymentDecision)>,
    /// Attempts for which somebody waits for the processor's answer.
    pub awaited: Vec<usize>,
    /// Attempts that the settlement has not found in the processor's book and is about to void.
    pub doubted: Vec<usize>,
}

/// How long a decision takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Nobody comes between reading and storing.
    AtOnce,
    /// It is stored by a later step. One decision at a time is held like this: of those that meet on a row only one is
    /// stored, and that one was not disturbed.
    Held,
}

/// One of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Orders,
    Payments,
}

/// Something that can happen to one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    // Clients.
    Place,
    CancelOrder(Pace),
    Pay(Card, Pace),
    // The clock.
    Expire(Pace),
    Deliver(Pace),
    // The services, the broker and the processor.
    Transport(Outbox, usize, Transport),
    Consume(Outbox, usize, Pace),
    SendCharge(usize),
    ChargeArrives(usize),
    Answer(usize, Pace),
    LookUp(Pace),
    Void(usize, Pace),
    GiveBack,
    RecordRefund(Pace),
    // Trouble.
    LoseAnswer(usize),
}

/// Who or what makes a step happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Clients and clocks, which may do it or never.
    Wish,
    /// The system, which does it sooner or later.
    Duty,
    /// Trouble, which may stop.
    Fault,
}

impl Step {
    pub fn nature(self) -> Nature {
        match self {
            Self::Place | Self::CancelOrder(_) | Self::Pay(..) | Self::Expire(_) | Self::Deliver(_) => Nature::Wish,
            Self::Transport(_, _, Transport::LoseMessage | Transport::LoseReceipt) | Self::LoseAnswer(_) => {
                Nature::Fault
            }
            _ => Nature::Duty,
        }
    }
}

impl Saga {
    /// As it is after the step; `None` when the step changes nothing.
    pub fn after(&self, step: Step, rules: &Rules) -> Option<Self> {
        let mut next = self.clone();
        next.take(step, rules)?;
        next.forget_what_no_longer_matters(rules);
        (next != *self).then_some(next)
    }

    /// `None` when the step cannot be taken.
    fn take(&mut self, step: Step, rules: &Rules) -> Option<()> {
        match step {
            Step::Place => self.place(rules),
            Step::CancelOrder(pace) => self.decide_order(OrderDecision::Cancel, pace, rules),
            Step::Expire(pace) => self.decide_order(OrderDecision::Expire, pace, rules),
            Step::Deliver(pace) => self.deliver_if_due(pace, rules),
            Step::Transport(Outbox::Orders, index, transport) => {
                let way = &mut self.asked.get_mut(index)?.way;
                *way = way.after(transport, rules.publish);
                Some(())
            }
            Step::Transport(Outbox::Payments, index, transport) => {
                let way = &mut self.told.get_mut(index)?.way;
                *way = way.after(transport, rules.publish);
                Some(())
            }
            Step::Consume(Outbox::Orders, index, pace) => self.do_what_was_asked(index, pace, rules),
            Step::Consume(Outbox::Payments, index, pace) => self.learn_what_was_told(index, pace, rules),
            Step::Pay(card, pace) => self.pay(card, pace, rules),
            Step::SendCharge(attempt) => self.send_charge(attempt),
            Step::ChargeArrives(attempt) => self.charge_arrives(attempt),
            Step::Answer(attempt, pace) => self.answer(attempt, pace, rules),
            Step::LoseAnswer(attempt) => self.stop_waiting(attempt),
            Step::LookUp(pace) => self.look_up(pace, rules),
            Step::Void(attempt, pace) => self.void(attempt, pace, rules),
            Step::GiveBack => self.give_back(),
            Step::RecordRefund(pace) => self.record_refund(pace, rules),
        }
    }

    /// Stores what the service holds, if it holds anything.
    pub fn store_held(&mut self, service: Service, rules: &Rules) {
        match service {
            Service::Orders => {
                let held = self.orders_memory.held.take();
                held.and_then(|(read, decision)| self.store_order(read, decision, rules))
            }
            Service::Payments => {
                let held = self.payments_memory.held.take();
                held.and_then(|(read, decision)| self.store_payment(read, decision, rules))
            }
        };
    }

    /// The service loses what it has in memory.
    pub fn crash(&mut self, service: Service) {
        match service {
            Service::Orders => self.orders_memory = OrdersMemory::default(),
            Service::Payments => self.payments_memory = PaymentsMemory::default(),
        }
    }

    /// The broker loses everything it has.
    pub fn wipe(&mut self) {
        let ways = self.asked.iter_mut().map(|mail| &mut mail.way);
        for way in ways.chain(self.told.iter_mut().map(|mail| &mut mail.way)) {
            (way.in_network, way.receipt_in_network) = (false, false);
        }
    }
}

impl Saga {
    /// Every consumer acknowledges what it has nothing left to do about.
    pub fn acknowledge_what_is_done(&mut self, rules: &Rules) {
        for index in 0..self.asked.len() {
            if self.has_done(self.asked[index].event, rules) {
                self.asked[index].way = (rules.acknowledge)(self.asked[index].way);
            }
        }
        for index in 0..self.told.len() {
            if self.has_learned(self.told[index].event, rules) {
                self.told[index].way = (rules.acknowledge)(self.told[index].way);
            }
        }
    }

    /// Keeps states apart only where something can still come of the difference.
    pub fn forget_what_no_longer_matters(&mut self, rules: &Rules) {
        // What is outdated will be refused.
        let order = self.order.map_or(0, |order| order.version);
        self.orders_memory.held = self.orders_memory.held.filter(|(read, _)| (rules.is_current)(read.version, order));
        let payment = self.payment.map_or(0, |payment| payment.version);
        self.payments_memory.held = self
            .payments_memory
            .held
            .filter(|(read, _)| (rules.is_current)(read.map_or(0, |read| read.version), payment));
        // The settlement finds an attempt that has ended and does nothing.
        self.payments_memory.doubted.retain(|attempt| self.attempts[*attempt].outcome == AttemptOutcome::Started);
        // Nobody waits for the answer, and the book does not change any more when the request arrives.
        for (number, attempt) in (0..).zip(&mut self.attempts) {
            if attempt.book.is_some() && !self.payments_memory.awaited.contains(&number) {
                attempt.request = Request::Unsent;
            }
        }
    }
}
