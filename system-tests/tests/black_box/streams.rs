//! Who follows orders through the gateway, while the replicas that tell of them die one after the other.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::client::{GOOD_CARD, User};
use crate::crash::Request;
use crate::own_stack::OwnStack;
use crate::polling::eventually;

const REPLICAS: [&str; 3] = ["orders-service", "orders-service-2", "orders-service-3"];
/// How many orders are placed and paid around each death.
const ORDERS: usize = 3;
/// After which whoever was cut off comes back.
const PAUSE: Duration = Duration::from_millis(50);

#[test]
fn who_comes_back_to_another_replica_is_told_every_version_of_every_order_once() {
    let own = OwnStack::start("streams-stack", REPLICAS.len());
    let user = User::demo().at(&own.now().gateway);
    let following = follow(user.clone());
    while !matches!(following.recv().expect("it goes on"), Heard::List) {}
    let mut orders = Vec::new();
    for replica in REPLICAS {
        let restarts = own.now().process(replica).restarts;
        orders.extend((0..ORDERS).map(|_| paid_order(&user)));
        own.now().process(replica).kill();
        // Who was followed there is followed elsewhere, and misses none of these.
        orders.extend((0..ORDERS).map(|_| paid_order(&user)));
        eventually(format_args!("{replica} is started again"), || {
            let stack = own.now();
            let process = stack.process(replica);
            let is_back = process.restarts > restarts && process.state == "running";
            if is_back { Ok(()) } else { Err(format!("{stack:?}")) }
        });
    }
    for order in &orders {
        user.order_becomes(order, "delivered", "paid");
    }
    let expected: BTreeMap<Uuid, Vec<i64>> = orders.into_iter().map(|order| (order, vec![1, 2, 3])).collect();
    let (mut told, mut lists, mut cuts) = (BTreeMap::<Uuid, Vec<i64>>::new(), 0, 0);
    eventually("all of it is told", || {
        for heard in following.try_iter() {
            match heard {
                Heard::List => lists += 1,
                Heard::Version(order, version) => told.entry(order).or_default().push(version),
                Heard::End => cuts += 1,
                Heard::Nothing => {}
            }
        }
        let count = |told: &BTreeMap<_, Vec<_>>| told.values().map(Vec::len).sum::<usize>();
        if count(&told) >= count(&expected) { Ok(()) } else { Err(format!("{told:?}")) }
    });
    assert_eq!(told, expected);
    assert_eq!(lists, 0, "it went on, and did not begin anew");
    assert!(cuts > 0, "the replica that it was told by has died");
}

/// Whoever meets a replica that is dying asks again.
fn paid_order(user: &User) -> Uuid {
    let placed = Request::place(user, "followed").insist();
    assert_eq!(placed.status, 201, "{placed:?}");
    let order = placed.id().expect("an order has an id");
    user.payment_becomes(&order, "pending");
    let paid = Request::pay(user, order, GOOD_CARD).insist();
    assert_eq!(paid.status, 200, "{paid:?}");
    order
}

/// What whoever follows all orders of a user gets.
enum Heard {
    /// The orders that there are.
    List,
    Version(Uuid, i64),
    /// The stream was cut off.
    End,
    /// The stream could not be opened.
    Nothing,
}

/// Follows until nobody wants to hear of it any more, and comes back each time behind the last event.
fn follow(user: User) -> Receiver<Heard> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut last = String::new();
        while sender.send(listen(&user, &mut last, &sender)).is_ok() {
            thread::sleep(PAUSE);
        }
    });
    receiver
}

/// Until the stream ends, or nobody wants to hear of it any more.
fn listen(user: &User, last: &mut String, sender: &Sender<Heard>) -> Heard {
    let Ok(lines) = user.follow("/api/orders/stream", last) else { return Heard::Nothing };
    let (mut event, mut id) = (String::new(), String::new());
    for line in lines.map_while(Result::ok) {
        let Some((name, value)) = line.split_once(": ") else { continue };
        match name {
            "event" => value.clone_into(&mut event),
            "id" => value.clone_into(&mut id),
            "data" => {
                let heard = if event == "orders" { Heard::List } else { version_in(value) };
                if sender.send(heard).is_err() {
                    break;
                }
                last.clone_from(&id);
            }
            _ => {}
        }
    }
    Heard::End
}

fn version_in(order: &str) -> Heard {
    let order: Value = serde_json::from_str(order).expect("JSON");
    let id = order["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    Heard::Version(id, order["version"].as_i64().expect("a version"))
}
