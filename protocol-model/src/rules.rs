//! The rules that the model runs: the services' own decisions, and what surrounds them in SQL. A test can replace one.

use orders_service::order::{self, NotCancellable, Order};
use payments_service::card::CardSummary;
use payments_service::doubt::{self, Finding};
use payments_service::payment::{self, NotPayable, Payment};
use payments_service::processor::{AttemptId, Record, Verdict};
use shared_events::events::{CancelReason, PaymentProcessed};

use crate::mail::Way;
use crate::rows::PaymentRow;

#[derive(Clone, Copy)]
pub struct Rules {
    // What the services decide: their own functions.
    pub cancel_order: fn(&Order, CancelReason) -> Result<Option<order::Change>, NotCancellable>,
    pub expire: fn(&Order) -> Option<order::Change>,
    pub deliver: fn(&Order) -> Option<order::Change>,
    pub learn: fn(&Order, &PaymentProcessed) -> Option<order::Change>,
    pub begin: fn(&Payment, AttemptId, &CardSummary) -> Result<payment::Change, NotPayable>,
    pub settle: fn(&Payment, AttemptId, &Verdict) -> Option<payment::Change>,
    pub cancel_payment: fn(&Payment) -> Option<payment::Change>,
    pub refund: fn(&Payment) -> Option<payment::Change>,
    pub find: fn(Record) -> Finding,

    // What is done around the decisions, told again in small.
    /// `where version = expected_version` in `orders::apply` and `payments::apply`.
    pub is_current: fn(expected: i32, stored: i32) -> bool,
    /// `payments::create`.
    pub create: fn(Option<PaymentRow>) -> Option<PaymentRow>,
    /// An event as it is committed.
    pub commit: fn() -> Way,
    /// What the broker's confirm does to it.
    pub publish: fn(Way) -> Way,
    /// What its consumer does once all that it leads to is committed.
    pub acknowledge: fn(Way) -> Way,
}

impl Rules {
    pub const PRODUCTION: Self = Self {
        cancel_order: Order::cancel,
        expire: Order::expire,
        deliver: Order::deliver,
        learn: Order::learn,
        begin: Payment::begin,
        settle: Payment::settle,
        cancel_payment: Payment::cancel,
        refund: Payment::refund,
        find: doubt::finding,
        is_current: |expected, stored| expected == stored,
        create: PaymentRow::create,
        commit: Way::committed,
        publish: Way::publish,
        acknowledge: Way::acknowledge,
    };
}
