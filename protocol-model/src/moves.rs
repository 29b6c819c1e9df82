//! What no step may do, whatever state it is taken in; and that every step without trouble leads on.

use orders_service::order::OrderStatus;
use shared_events::events::CancelReason;

use crate::payments::{Attempt, Entry, Request};
use crate::rows::{OrderRow, PaymentRow};
use crate::saga::Saga;

/// What a step did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breach {
    /// A status changed in a way that its transition table does not have.
    Status,
    /// A row changed and its version did not go up by one.
    Version,
    /// An order learned of its payment something older than it knew.
    OldNews,
    /// An order that is paid was cancelled as unpaid.
    Expired,
    /// The processor's book changed what it said.
    Book,
    /// An event does not have the version of the row that it was committed with.
    Event,
    /// Nothing was gained, so it may go on like this for ever.
    NoProgress,
}

/// What is wrong with the step from one to the other.
pub fn breach(before: &Saga, after: &Saga) -> Option<Breach> {
    let of_order = before.order.zip(after.order).and_then(|(before, after)| breach_of_order(before, after));
    let of_payment = before.payment.zip(after.payment).and_then(|(before, after)| breach_of_payment(before, after));
    let mut books = before.attempts.iter().zip(&after.attempts);
    let of_book = books.any(|(before, after)| !may_follow(before.book, after.book)).then_some(Breach::Book);
    of_order.or(of_payment).or(of_book).or_else(|| breach_of_event(before, after))
}

fn breach_of_order(before: OrderRow, after: OrderRow) -> Option<Breach> {
    let is_unpaid = matches!(before.status, OrderStatus::Created | OrderStatus::Declined);
    let expires = before.cancel_reason.is_none() && after.cancel_reason == Some(CancelReason::Expired);
    let rules = [
        (before.status == after.status || before.status.may_become(after.status), Breach::Status),
        (before == after || after.version == before.version + 1, Breach::Version),
        (after.payment_version >= before.payment_version, Breach::OldNews),
        (!expires || is_unpaid, Breach::Expired),
    ];
    first_broken(rules)
}

fn breach_of_payment(before: PaymentRow, after: PaymentRow) -> Option<Breach> {
    let rules = [
        (before.status == after.status || before.status.may_become(after.status), Breach::Status),
        (before == after || after.version == before.version + 1, Breach::Version),
    ];
    first_broken(rules)
}

fn breach_of_event(before: &Saga, after: &Saga) -> Option<Breach> {
    let new = after.told.get(before.told.len()..).unwrap_or_default();
    let version = after.payment.map_or(0, |payment| payment.version);
    new.iter().any(|mail| mail.event.version != version).then_some(Breach::Event)
}

fn may_follow(before: Option<Entry>, after: Option<Entry>) -> bool {
    before == after
        || match before {
            None => after != Some(Entry::Refunded),
            Some(Entry::Approved) => after == Some(Entry::Refunded),
            Some(Entry::Declined | Entry::Voided | Entry::Refunded) => false,
        }
}

fn first_broken<const N: usize>(rules: [(bool, Breach); N]) -> Option<Breach> {
    rules.into_iter().find_map(|(holds, breach)| (!holds).then_some(breach))
}

impl Saga {
    /// Grows with every step that is no fault. Since there is only so much to be done for an order, whatever happens
    /// comes to an end once faults stop.
    pub fn progress(&self) -> i32 {
        /// More than a change of a row can make undone in memory.
        const CHANGE: i32 = 10;
        let versions = self.order.map_or(0, |order| order.version) + self.payment.map_or(0, |payment| payment.version);
        let books: i32 = self.attempts.iter().map(progress_of_book).sum();
        let asked: i32 = self.asked.iter().map(|mail| mail.way.progress()).sum();
        let told: i32 = self.told.iter().map(|mail| mail.way.progress()).sum();
        CHANGE * (versions + books) + self.progress_of_requests() + self.progress_in_memory() + asked + told
    }

    fn progress_of_requests(&self) -> i32 {
        self.attempts.iter().filter(|attempt| attempt.request == Request::Sent).map(|_| 1).sum()
    }

    /// To hold a decision is a gain while it can be stored; when it has become outdated, the gain is to drop it.
    fn progress_in_memory(&self) -> i32 {
        let worth = |is_current| if is_current { 1 } else { -1 };
        let order = self.orders_memory.held.map_or(0, |(read, _)| worth(Some(read) == self.order));
        let version = |row: Option<PaymentRow>| row.map(|row| row.version);
        let payment = self.payments_memory.held.map_or(0, |(read, _)| worth(version(read) == version(self.payment)));
        let awaited: i32 = self.payments_memory.awaited.iter().map(|_| -2).sum();
        let doubts = self.payments_memory.doubted.iter();
        let doubted: i32 = doubts.map(|attempt| worth(self.attempts[*attempt].book.is_none())).sum();
        order + payment + awaited + doubted
    }
}

fn progress_of_book(attempt: &Attempt) -> i32 {
    match attempt.book {
        None => 0,
        Some(Entry::Approved | Entry::Declined | Entry::Voided) => 1,
        Some(Entry::Refunded) => 2,
    }
}
