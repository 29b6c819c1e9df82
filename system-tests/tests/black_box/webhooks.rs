//! What somebody outside is told by webhooks, whatever happens to the service that tells it.

use std::fs;

use axum::http::StatusCode;
use serde_json::{Value, json};
use service_kit::testing::receiver::{Receiver, Reply};
use tokio::runtime::{Builder, Runtime};

use crate::client::{GOOD_CARD, User};
use crate::database;
use crate::own_stack::OwnStack;
use crate::polling::eventually;
use crate::stack;

/// Where a service dies that has told somebody.
pub const CRASH_POINT: &str = "webhook sent, not recorded";
const ORDERS: &str = "orders-service";
/// In the working folder of each process.
const POINTS: &str = "crash-points";

#[test]
fn a_payment_is_told_in_a_signed_message_although_the_service_is_killed_in_between() {
    let _stack = stack::shared();
    let told = Told::of("payment.paid", "webhook-stack");
    told.receiver_answers(StatusCode::SERVICE_UNAVAILABLE);
    let order = told.user.place_order();
    told.user.payment_becomes(&order, "pending");
    assert_eq!(told.user.pay(&order, GOOD_CARD).status, 200);
    told.delivery_becomes(&json!(["pending", 1, 503]));
    let restarts = told.restarts();
    told.own.now().process(ORDERS).kill();
    told.is_restarted(restarts);
    // It may have died between recording the answer and giving the webhook back.
    told.the_lease_of_the_dead_runs_out();
    told.receiver_answers(StatusCode::NO_CONTENT);
    told.delivery_becomes(&json!(["delivered", 2, 204]));

    let received = told.receiver.take();
    let ids: Vec<_> = received.iter().map(|message| message.header("webhook-id")).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    for message in &received {
        assert!(message.is_signed_with(&told.secret), "{message:?}");
        let message = message.json();
        let data = &message["data"];
        assert_eq!((&message["type"], &data["id"]), (&json!("payment.paid"), &json!(order)));
        assert_eq!((&data["status"], &data["paymentStatus"]), (&json!("confirmed"), &json!("paid")));
    }
}

#[test]
fn what_was_sent_when_the_service_died_is_sent_again_with_the_same_id() {
    let _stack = stack::shared();
    let told = Told::of("order.created", "webhook-crash-stack");
    let restarts = told.restarts();
    let folder = OwnStack::folder("webhook-crash-stack").join(ORDERS).join(POINTS);
    fs::create_dir_all(&folder).expect("the folder of the points can be made");
    fs::write(folder.join(CRASH_POINT), "").expect("a point can be armed");
    told.user.place_order();
    told.is_restarted(restarts);
    assert_eq!(told.receiver.count(), 1, "it has died of what it had sent");
    told.the_lease_of_the_dead_runs_out();
    told.delivery_becomes(&json!(["delivered", 1, 204]));
    let received = told.receiver.take();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert!(received.iter().all(|message| message.is_signed_with(&told.secret)), "{received:?}");
}

/// A user of a stack of its own, and who is told of the user's orders.
struct Told {
    own: OwnStack,
    user: User,
    receiver: Receiver,
    webhook: String,
    secret: String,
    /// Runs the receiver.
    _runtime: Runtime,
}

impl Told {
    /// Told of one type of event.
    fn of(event: &str, stack: &str) -> Self {
        let own = OwnStack::start_with(stack, 1, &[("WEBHOOK_TARGETS", "any"), ("CRASH_POINTS", POINTS)]);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (user, receiver) = (User::demo().at(&own.now().gateway), runtime.block_on(Receiver::start()));
        let made = user.send("POST", "/api/webhooks", &json!({"url": receiver.url, "eventTypes": [event]}));
        assert_eq!(made.status, 201, "{made:?}");
        let text = |name: &str| made.body["data"][name].as_str().expect("text").to_owned();
        Self { own, user, receiver, webhook: text("id"), secret: text("secret"), _runtime: runtime }
    }

    fn receiver_answers(&self, status: StatusCode) {
        self.receiver.answers("/", Reply::Status(status));
    }

    fn restarts(&self) -> u32 {
        self.own.now().process(ORDERS).restarts
    }

    #[track_caller]
    fn is_restarted(&self, restarts_before: u32) {
        eventually("the service is started again", || {
            let stack = self.own.now();
            let process = stack.process(ORDERS);
            let is_back = process.restarts > restarts_before && process.state == "running";
            if is_back { Ok(()) } else { Err(format!("{stack:?}")) }
        });
    }

    /// As after a minute and a half.
    fn the_lease_of_the_dead_runs_out(&self) {
        let late = "update orders.webhooks set lease_until = now(), due_at = now() where lease_until is not null";
        database::execute(&self.own.now().postgres, late);
    }

    /// Waits until the only delivery has this status, number of attempts and last answer.
    #[track_caller]
    fn delivery_becomes(&self, expected: &Value) {
        let path = format!("/api/webhooks/{}/deliveries", self.webhook);
        eventually(format_args!("the delivery becomes {expected}"), || {
            let answer = self.user.get(&path);
            let view = |delivery: &Value| json!([delivery["status"], delivery["attempts"], delivery["responseStatus"]]);
            match answer.body["data"].as_array().map(Vec::as_slice) {
                Some([delivery]) if view(delivery) == *expected => Ok(()),
                _ => Err(format!("{answer:?}")),
            }
        });
    }
}
