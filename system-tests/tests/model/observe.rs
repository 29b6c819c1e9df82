//! Looking at the system: through the API what its users see, by SQL what they do not.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use shared_events::ids::OrderId;
use uuid::Uuid;

use crate::sight::{Booked, OrderSight, Outcome, PaymentSight, Sight};
use crate::system::{System, read};
use crate::words::{Event, Letter, Reason};

/// What is seen of every order, and the events that were taken from the outboxes.
pub async fn look(system: &System) -> (HashMap<OrderId, Sight>, Vec<Letter>) {
    let (orders, payments, attempts, ledger, letters) = tokio::join!(
        system.list("/api/orders"),
        system.list("/api/payments"),
        attempts(system),
        ledger(system),
        empty_outboxes(system),
    );
    let id = |value: &Value| OrderId(read(value));
    let mut sights: HashMap<OrderId, Sight> =
        orders.iter().map(|order| (id(&order["id"]), sight(read(order)))).collect();
    let mut of = |order: OrderId, note: &mut dyn FnMut(&mut Sight)| {
        note(sights.get_mut(&order).expect("nothing exists without its order"));
    };
    for payment in &payments {
        of(id(&payment["orderId"]), &mut |sight| sight.payment = Some(read::<PaymentSight>(payment)));
    }
    for (order, outcome, booked) in attempts {
        of(order, &mut |sight| sight.attempts.push((outcome, booked)));
    }
    for (order, amount) in ledger {
        of(order, &mut |sight| sight.ledger.push(amount));
    }
    for letter in &letters {
        of(letter.order_id, &mut |sight| sight.sent.push(letter.event.clone()));
    }
    for sight in sights.values_mut() {
        sight.sent.sort();
    }
    (sights, letters)
}

fn sight(order: OrderSight) -> Sight {
    Sight { order, payment: None, attempts: Vec::new(), ledger: Vec::new(), sent: Vec::new() }
}

async fn attempts(system: &System) -> Vec<(OrderId, Outcome, Option<Booked>)> {
    let statement = "
        select attempt.order_id, attempt.outcome, charge.status
        from payments.attempts attempt
        left join sandbox.charges charge on charge.attempt_id = attempt.id
        order by attempt.order_id, attempt.number";
    let rows: Vec<(Uuid, String, Option<String>)> =
        sqlx::query_as(statement).fetch_all(&system.database).await.expect("the attempts can be read");
    rows.into_iter().map(|(order, outcome, booked)| (OrderId(order), word(outcome), booked.map(word))).collect()
}

async fn ledger(system: &System) -> Vec<(OrderId, i64)> {
    let statement =
        "select order_id, amount from payments.ledger where account = 'card_processor' order by posted_at, amount desc";
    let rows: Vec<(Uuid, i64)> =
        sqlx::query_as(statement).fetch_all(&system.database).await.expect("the ledger can be read");
    rows.into_iter().map(|(order, amount)| (OrderId(order), amount)).collect()
}

/// Takes all events, as the relays would.
async fn empty_outboxes(system: &System) -> Vec<Letter> {
    let statement = "
        with of_orders as (delete from orders.outbox returning id, order_id, event, data),
            of_payments as (delete from payments.outbox returning id, order_id, event, data)
        select * from of_orders union all select * from of_payments order by id";
    let rows: Vec<(Uuid, Uuid, String, Value)> =
        sqlx::query_as(statement).fetch_all(&system.database).await.expect("the outboxes can be emptied");
    rows.into_iter()
        .map(|(id, order, name, data)| Letter { event: event(&name, &data), id, order_id: OrderId(order), name, data })
        .collect()
}

/// What the model understands of an event.
fn event(name: &str, data: &Value) -> Event {
    match name {
        "payment-create-event" => Event::Create,
        "payment-cancel-event" => Event::Cancel(read::<Reason>(&data["reason"])),
        "payment-processed-event" => Event::Processed(read(data)),
        other => panic!("no service sends {other}"),
    }
}

fn word<T: for<'a> Deserialize<'a>>(name: String) -> T {
    read(&Value::String(name))
}
