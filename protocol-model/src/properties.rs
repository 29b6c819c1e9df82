//! What must hold, and what must be seen to happen so that the rest is worth something.

use orders_service::order::{OrderStatus, PaymentStatus as Known};
use payments_service::payment::{AttemptOutcome, PaymentStatus};
use stateright::Property;

use crate::model::{Protocol, World};
use crate::moves::Breach;
use crate::payments::{Attempt, Entry, Request};
use crate::rest;
use crate::rows::Owner;
use crate::saga::Saga;

/// All of them.
pub fn all() -> Vec<Property<Protocol>> {
    let mut all = safety();
    all.extend(moves());
    all.push(always("what comes to rest is right", |protocol, world| {
        world.sagas.iter().all(|saga| !rest::is_at_rest(protocol, saga) || rest::is_right(protocol, saga))
    }));
    all.extend(examples());
    all
}

fn safety() -> Vec<Property<Protocol>> {
    vec![
        always("an order is charged at most once", |_, world| every(world, |saga| saga.charges().count() <= 1)),
        always("the ledger posts once what is in the book, and nothing else", |_, world| {
            every(world, |saga| saga.attempts.iter().all(is_posted_as_booked))
        }),
        always("a voided attempt is never charged", |_, world| {
            every(world, |saga| saga.attempts.iter().all(ended_as_booked))
        }),
        always("a confirmed or delivered order is paid and its money is kept", |_, world| {
            every(world, |saga| !is_confirmed(saga) || keeps_money(saga))
        }),
        always("a payment with an approved attempt is paid or paid back", |_, world| {
            every(world, |saga| {
                let mut approved = saga.attempts.iter().filter(|attempt| attempt.outcome == AttemptOutcome::Approved);
                approved.next().is_none() || saga.payment.is_some_and(|payment| has_money(payment.status))
            })
        }),
        always("an order has a reason when it is cancelled, and a time when it is delivered", |_, world| {
            every(world, |saga| {
                saga.order.is_none_or(|order| {
                    order.cancel_reason.is_some() == (order.status == OrderStatus::Cancelled)
                        && order.has_deliver_at == is_confirmed(saga)
                })
            })
        }),
        always("an order knows nothing of its payment that has not happened", |_, world| {
            every(world, |saga| {
                let version = saga.payment.map_or(0, |payment| payment.version);
                saga.order.is_none_or(|order| order.payment_version <= version)
            })
        }),
    ]
}

fn moves() -> Vec<Property<Protocol>> {
    vec![
        always("a status moves along its table", |_, world| world.breach != Some(Breach::Status)),
        always("versions step by one", |_, world| world.breach != Some(Breach::Version)),
        always("news never gets older", |_, world| world.breach != Some(Breach::OldNews)),
        always("only unpaid orders expire", |_, world| world.breach != Some(Breach::Expired)),
        always("the processor does what it said", |_, world| world.breach != Some(Breach::Book)),
        always("an event has its row's version", |_, world| world.breach != Some(Breach::Event)),
        always("every step without trouble leads on", |_, world| world.breach != Some(Breach::NoProgress)),
    ]
}

fn examples() -> Vec<Property<Protocol>> {
    vec![
        sometimes("an order is delivered", |_, world| {
            any(world, |saga| saga.order.is_some_and(|order| order.status == OrderStatus::Delivered))
        }),
        sometimes("the money of a cancelled order is given back", |_, world| {
            any(world, |saga| saga.order.is_some_and(|order| order.payment_status == Known::Refunded))
        }),
        sometimes("a cancel overtakes its create", |_, world| {
            any(world, |saga| saga.payment.is_some_and(|payment| payment.owner == Owner::Unknown))
        }),
        sometimes("a cancelled order hears that it was paid", |_, world| {
            any(world, |saga| {
                saga.order
                    .is_some_and(|order| (order.status, order.payment_status) == (OrderStatus::Cancelled, Known::Paid))
            })
        }),
        sometimes("a charge arrives after it was voided", |_, world| {
            any(world, |saga| {
                saga.attempts
                    .iter()
                    .any(|attempt| attempt.book == Some(Entry::Voided) && attempt.request == Request::Sent)
            })
        }),
    ]
}

fn always(name: &'static str, condition: fn(&Protocol, &World) -> bool) -> Property<Protocol> {
    Property::always(name, condition)
}

fn sometimes(name: &'static str, condition: fn(&Protocol, &World) -> bool) -> Property<Protocol> {
    Property::sometimes(name, condition)
}

fn every(world: &World, holds: impl Fn(&Saga) -> bool) -> bool {
    world.sagas.iter().all(holds)
}

fn any(world: &World, happens: impl Fn(&Saga) -> bool) -> bool {
    world.sagas.iter().any(happens)
}

fn is_confirmed(saga: &Saga) -> bool {
    let status = saga.order.map(|order| order.status);
    matches!(status, Some(OrderStatus::Confirmed | OrderStatus::Delivered))
}

/// Whether exactly one charge was made, recorded, posted and not given back.
pub fn keeps_money(saga: &Saga) -> bool {
    let mut kept = saga.charges().filter(|attempt| attempt.book == Some(Entry::Approved));
    let is_recorded = kept.next().is_some_and(|attempt| (attempt.charges_posted, attempt.refunds_posted) == (1, 0));
    is_recorded && kept.next().is_none() && saga.payment.is_some_and(|payment| payment.status == PaymentStatus::Paid)
}

fn has_money(status: PaymentStatus) -> bool {
    matches!(status, PaymentStatus::Paid | PaymentStatus::Refunding | PaymentStatus::Refunded)
}

fn is_posted_as_booked(attempt: &Attempt) -> bool {
    match (attempt.charges_posted, attempt.refunds_posted) {
        (0, 0) => true,
        (1, 0) => matches!(attempt.book, Some(Entry::Approved | Entry::Refunded)),
        (1, 1) => attempt.book == Some(Entry::Refunded),
        _ => false,
    }
}

/// Whether what was recorded of the attempt is what the processor's book says.
fn ended_as_booked(attempt: &Attempt) -> bool {
    match attempt.outcome {
        AttemptOutcome::Started => true,
        AttemptOutcome::Approved => matches!(attempt.book, Some(Entry::Approved | Entry::Refunded)),
        AttemptOutcome::Declined => attempt.book == Some(Entry::Declined),
        AttemptOutcome::Voided => attempt.book == Some(Entry::Voided),
    }
}

impl Saga {
    /// The attempts that were ever charged.
    fn charges(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| matches!(attempt.book, Some(Entry::Approved | Entry::Refunded)))
    }
}
