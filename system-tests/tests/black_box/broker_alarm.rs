//! A broker that takes no messages for want of memory.

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::broker::control;
use crate::client::{GOOD_CARD, User};
use crate::polling::eventually;
use crate::stack::{self, Stack};
use crate::storage::waiting;

/// Each time that a connection is given up meanwhile, its thread, its socket and its memory stay.
#[test]
fn the_services_keep_their_connections_to_a_broker_that_takes_no_messages() {
    let (_alone, user) = (stack::alone(), User::demo());
    user.payment_becomes(&user.place_order(), "pending");
    let before = eventually("each service has two connections", || match connections() {
        two_each if two_each.len() == 4 => Ok(two_each),
        other => Err(format!("{other:?}")),
    });

    let alarm = Alarm::raise();
    let id = user.place_order();
    eventually("an event has waited for longer than a confirm may take", || match oldest_event() {
        Some(age) if age > 8.0 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(connections(), before);
    drop(alarm);

    user.payment_becomes(&id, "pending");
    assert_eq!(user.pay(&id, GOOD_CARD).status, 200);
    user.order_becomes(&id, "delivered", "paid");
}

/// Those of the services, as the broker knows them.
fn connections() -> Vec<String> {
    let mut connections = control(&["list_connections", "pid", "client_properties"]);
    connections
        .retain(|connection| connection.contains("-service publisher") || connection.contains("-service consumer"));
    connections.sort();
    connections
}

/// The age of the oldest event without a receipt, in seconds.
fn oldest_event() -> Option<f64> {
    const AGE: &str = "select extract(epoch from now() - min(created_at))::double precision from orders.outbox";
    waiting().block_on(async {
        let mut database = PgConnection::connect(&Stack::now().postgres).await.expect("the database answers");
        sqlx::query_scalar(AGE).fetch_one(&mut database).await.expect("the age is read")
    })
}

/// Goes on until it is dropped.
struct Alarm;

impl Alarm {
    fn raise() -> Self {
        control(&["set_vm_memory_high_watermark", "0.000001"]);
        Self
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        control(&["set_vm_memory_high_watermark", "0.4"]);
    }
}
