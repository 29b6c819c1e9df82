//! The reference model: one order and its payment, as the two tables of states in words.
//!
//! Whatever happens is a row of [`Step`]s. A step is indivisible; between two of them anything else may happen. The
//! model knows nothing of statements, comparing and swapping, batches or retries.

use crate::sight::{Booked, OrderSight, Outcome, Sight};
use crate::words::{Act, Answer, Card, Event, Hold, Line, OrderStatus, PaymentStatus};

/// An order and everything that belongs to it, in both services and at the card processor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct World {
    pub bill: i64,
    pub order: OrderSight,
    /// The version of the payment that the order has heard of.
    pub heard: i32,
    pub payment: Payment,
    pub attempts: Vec<Attempt>,
    pub ledger: Vec<i64>,
    /// Events that were sent and not yet looked at.
    pub sent: Vec<Event>,
    /// Pays that the card processor keeps waiting, by their tickets, and how they will go on.
    pub held: Vec<(u32, Step)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payment {
    pub status: PaymentStatus,
    /// No create has come yet: nothing is there, or the tombstone of a cancel that came first.
    pub is_unknown: bool,
    /// 0 before anything is there; grows with every change.
    pub version: i32,
    pub cancel_requested: bool,
    /// Whether the settlement may take it.
    pub is_due: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    pub card: Card,
    pub outcome: Outcome,
    pub booked: Option<Booked>,
    pub refund_stumbles: bool,
}

/// How the processor answers for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Approved,
    Declined,
    Voided,
}

/// What somebody does next. Numbers are places in the list of attempts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    // The order.
    ReadOrder,
    CancelOrder,
    Expire,
    Deliver,
    // Events, of both.
    Hear(Vec<Event>),
    // A pay.
    ReadPayment,
    BeginPay(Card, Option<Hold>),
    Charge(usize, Option<Hold>),
    GetNoAnswer(usize),
    RecordAndAnswer(usize, Verdict),
    // The settlement.
    MakeDue(Line),
    Claim(Line),
    LookUp(usize, Line),
    Void(usize, Line),
    RecordAndGoOn(usize, Verdict, Line),
    Refund(usize, Line),
    RecordRefund(Line),
}

/// What follows a step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Next {
    Then(Step),
    Done(Answer),
}

use Next::{Done, Then};

impl World {
    /// An order that was just placed.
    pub fn new(bill: i64) -> Self {
        Self {
            bill,
            order: OrderSight {
                status: OrderStatus::Created,
                payment_status: PaymentStatus::Pending,
                cancel_reason: None,
            },
            heard: 0,
            payment: Payment {
                status: PaymentStatus::Pending,
                is_unknown: true,
                version: 0,
                cancel_requested: false,
                is_due: false,
            },
            attempts: Vec::new(),
            ledger: Vec::new(),
            sent: vec![Event::Create],
            held: Vec::new(),
        }
    }

    /// The first step of what is about to be done.
    pub fn first_step(&mut self, act: &Act) -> Step {
        match act {
            Act::ReadOrder => Step::ReadOrder,
            Act::ReadPayment => Step::ReadPayment,
            Act::Cancel => Step::CancelOrder,
            Act::Pay(card, hold) => Step::BeginPay(*card, *hold),
            Act::LetGo(ticket) => {
                let place = self.held.iter().position(|(held, _)| held == ticket).expect("only held pays are let go");
                self.held.remove(place).1
            }
            Act::Hear(letters) => Step::Hear(letters.iter().map(|letter| letter.event.clone()).collect()),
            Act::Settle(line) => Step::MakeDue(*line),
            Act::Expire => Step::Expire,
            Act::Deliver => Step::Deliver,
        }
    }

    /// What can be seen of this world.
    pub fn sight(&self) -> Sight {
        let mut sent = self.sent.clone();
        sent.sort();
        Sight {
            order: self.order.clone(),
            payment: (!self.payment.is_unknown).then(|| self.payment_sight()),
            attempts: self.attempts.iter().map(|attempt| (attempt.outcome, attempt.booked)).collect(),
            ledger: self.ledger.clone(),
            sent,
        }
    }

    /// The world after somebody has looked at it.
    pub fn seen(mut self) -> Self {
        self.sent.clear();
        // Time passes only where a script says so.
        self.payment.is_due = false;
        self
    }

    /// Takes one step.
    pub fn take(&mut self, step: Step) -> Next {
        match step {
            Step::ReadOrder => Done(Answer::Order(200, self.order.clone())),
            Step::CancelOrder => self.cancel_order(),
            Step::Expire => Done(self.expire()),
            Step::Deliver => Done(self.deliver()),
            Step::Hear(events) => self.hear_first(events),
            Step::ReadPayment => Done(self.read_payment()),
            Step::BeginPay(card, hold) => self.begin_pay(card, hold),
            Step::Charge(attempt, hold) => self.charge(attempt, hold),
            Step::GetNoAnswer(attempt) => Done(Self::answer_of_silence(attempt)),
            Step::RecordAndAnswer(attempt, verdict) => {
                self.record(attempt, verdict);
                Done(self.answer_to_pay())
            }
            Step::MakeDue(line) => self.make_due(line),
            Step::Claim(line) => self.claim(line),
            Step::LookUp(attempt, line) => self.look_up(attempt, line),
            Step::Void(attempt, line) => self.void(attempt, line),
            Step::RecordAndGoOn(attempt, verdict, line) => {
                self.record(attempt, verdict);
                Then(Step::Claim(line))
            }
            Step::Refund(attempt, line) => self.refund(attempt, line),
            Step::RecordRefund(line) => self.record_refund(line),
        }
    }
}

impl Attempt {
    /// What the processor says of it, unless the money went back or it knows nothing.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.booked? {
            Booked::Approved => Some(Verdict::Approved),
            Booked::Declined => Some(Verdict::Declined),
            Booked::Voided => Some(Verdict::Voided),
            Booked::Refunded => None,
        }
    }
}
