//! Where the system comes to rest when faults, clients and clocks leave it alone, and what is right there.
//!
//! Stateright's own `eventually` is not used: its documentation says that it misses counterexamples where paths join
//! or run in circles. Instead every step without trouble must lead on ([`Saga::progress`]), so every such run ends; and
//! where it ends, no matter what went wrong before, this must be right.

use orders_service::order::{OrderStatus, PaymentStatus as Known};
use payments_service::payment::{AttemptOutcome, PaymentStatus};

use crate::mail::Outbox;
use crate::model::Protocol;
use crate::payments::{Attempt, Entry};
use crate::properties::keeps_money;
use crate::rows::{OrderRow, Owner, PaymentRow};
use crate::saga::{Nature, Saga, Step};

/// Whether nothing is left to do that the services, the broker or the processor do by themselves.
pub fn is_at_rest(protocol: &Protocol, saga: &Saga) -> bool {
    if saga.orders_memory.held.is_some() || saga.payments_memory.held.is_some() {
        return false;
    }
    let duties = protocol.steps(saga).into_iter().filter(|step| step.nature() == Nature::Duty);
    duties
        .into_iter()
        .filter(|step| !depends_on_luck(saga, *step))
        .all(|step| saga.after(step, &protocol.rules).is_none())
}

/// Whether the step takes a message that may have been lost, since its row is gone.
fn depends_on_luck(saga: &Saga, step: Step) -> bool {
    match step {
        Step::Consume(Outbox::Orders, index, _) => !saga.asked[index].way.in_outbox,
        Step::Consume(Outbox::Payments, index, _) => !saga.told[index].way.in_outbox,
        _ => false,
    }
}

/// Whether both sides agree, the money is where it belongs, and nothing waits for anything but time or its buyer.
pub fn is_right(protocol: &Protocol, saga: &Saga) -> bool {
    let (Some(order), Some(payment)) = (saga.order, saga.payment) else {
        return *saga == Saga::default();
    };
    agree(order, payment)
        && saga.asked.iter().all(|mail| !mail.way.in_outbox)
        && saga.told.iter().all(|mail| !mail.way.in_outbox)
        && saga.attempts.iter().all(is_over)
        && if has_money(order) { keeps_money(saga) } else { saga.attempts.iter().all(is_free) }
        && (is_final(order) || waits_for_the_clock(protocol, order))
}

/// Which ends of an order go with which ends of its payment.
fn agree(order: OrderRow, payment: PaymentRow) -> bool {
    use OrderStatus::{Cancelled, Confirmed, Created, Declined, Delivered};
    payment.owner == Owner::Known
        && matches!(
            (order.status, order.payment_status, payment.status),
            (Created, Known::Pending, PaymentStatus::Pending)
                // Pending, when another card was tried after the decline and its attempt was voided.
                | (Declined, Known::Declined, PaymentStatus::Declined | PaymentStatus::Pending)
                | (Confirmed | Delivered, Known::Paid, PaymentStatus::Paid)
                | (Cancelled, Known::Cancelled, PaymentStatus::Cancelled)
                | (Cancelled, Known::Refunded, PaymentStatus::Refunded)
        )
}

/// Whether book, attempt and ledger say the same end.
fn is_over(attempt: &Attempt) -> bool {
    let postings = (attempt.charges_posted, attempt.refunds_posted);
    match (attempt.outcome, attempt.book) {
        (AttemptOutcome::Approved, Some(Entry::Approved)) => postings == (1, 0),
        (AttemptOutcome::Approved, Some(Entry::Refunded)) => postings == (1, 1),
        (AttemptOutcome::Declined, Some(Entry::Declined)) | (AttemptOutcome::Voided, Some(Entry::Voided)) => {
            postings == (0, 0)
        }
        _ => false,
    }
}

fn is_free(attempt: &Attempt) -> bool {
    attempt.book != Some(Entry::Approved)
}

fn has_money(order: OrderRow) -> bool {
    matches!(order.status, OrderStatus::Confirmed | OrderStatus::Delivered)
}

fn is_final(order: OrderRow) -> bool {
    matches!(order.status, OrderStatus::Cancelled | OrderStatus::Delivered)
}

fn waits_for_the_clock(protocol: &Protocol, order: OrderRow) -> bool {
    let order = order.read();
    (protocol.rules.expire)(&order).is_some() || (protocol.rules.deliver)(&order).is_some()
}
