//! Two database servers, of which the primary dies or freezes under load, or the standby does.

use std::process::Command;

use serde_json::json;
use uuid::Uuid;

use crate::client::{Answer, User};
use crate::load::Load;
use crate::own_stack::OwnStack;
use crate::polling::eventually;
use crate::reconciliation::Reconciliation;
use crate::stack::{self, Stack};
use crate::{broker, database, parked};

#[test]
fn a_standby_takes_over_under_load_and_nothing_that_was_answered_is_lost() {
    let stack = OwnStack::start_with_standby("failover-stack");
    let before = stack.once_all_run();
    let load = Load::of(&User::demo().at(&before.gateway));
    load.goes_on();
    before.process("postgres").kill();
    promote(&stack);
    load.goes_on();
    assert_eq!(roles(&stack.once_all_run()), ["standby", "primary"]);

    // And back again, from one that neither answers nor ends.
    stack.now().process("postgres-2").freeze();
    promote(&stack);
    load.goes_on();
    let after = stack.once_all_run();
    assert_eq!(roles(&after), ["primary", "standby"]);

    load.finish_and_compare(&after.postgres);
    Reconciliation::once_settled_in(&after.postgres);
    for service in ["orders-service", "payments-service"] {
        assert_eq!(after.process(service).restarts, 0, "{service} was not to be started again");
    }
}

/// A server that was the primary may have to take back what the other one never had, and then needs what that one has
/// written since. It waits here, for a slot, until the log has gone on.
#[test]
fn who_was_the_primary_comes_back_however_far_the_log_has_gone_on() {
    let stack = OwnStack::start_with_standby("left-behind-stack");
    let before = stack.once_all_run();
    let load = Load::of(&User::demo().at(&before.gateway));
    load.goes_on();
    replace_and_write_on(&stack, ["postgres", "postgres-2"]);
    load.goes_on();
    assert_eq!(roles(&stack.once_all_run()), ["standby", "primary"]);
    assert!(stack.log("postgres").contains("pg_rewind: Done!"), "it was rewound");

    let next = address(&stack.now(), "postgres");
    database::execute(&next, "alter system set wal_keep_size = 0");
    database::execute(&next, "select pg_reload_conf()");
    replace_and_write_on(&stack, ["postgres-2", "postgres"]);
    load.goes_on();
    let after = stack.once_all_run();
    assert_eq!(roles(&after), ["primary", "standby"]);
    assert_eq!(stack.log("postgres-2").matches("cloning the primary").count(), 2, "at first, and now");

    load.finish_and_compare(&after.postgres);
}

#[test]
fn without_its_standby_the_primary_answers_no_write_until_it_is_back_or_an_operator_lets_go() {
    let stack = OwnStack::start_with_standby("lone-primary-stack");
    let before = stack.once_all_run();
    let user = User::demo().at(&before.gateway);
    let placed = user.place_order();
    let load = Load::of(&user);
    load.goes_on();

    before.process("postgres-2").freeze();
    user.try_to_place_order().assert_problem(503, "service_unavailable");
    eventually("orders can still be read", || match user.get(&format!("/api/orders/{placed}")) {
        Answer { status: 200, .. } => Ok(()),
        other => Err(format!("{other:?}")),
    });
    before.process("postgres-2").thaw();
    load.goes_on();

    before.process("postgres-2").freeze();
    user.try_to_place_order().assert_problem(503, "service_unavailable");
    let postgres = address(&before, "postgres");
    database::execute(&postgres, "alter system set synchronous_standby_names = ''");
    database::execute(&postgres, "select pg_reload_conf()");
    load.goes_on();

    load.finish_and_compare(&before.postgres);
    before.process("postgres-2").thaw();
}

/// A commit that waits for the standby when its primary dies is let go and seen by others, before they die as well; and
/// again after a start. Here it does not wait at all.
#[test]
fn what_only_a_dying_primary_knows_is_neither_answered_nor_acknowledged() {
    let stack = OwnStack::start_with_standby("unreplicated-stack");
    let before = stack.once_all_run();
    let user = User::demo().at(&before.gateway);
    let order = user.place_order();
    user.payment_becomes(&order, "pending");
    let only_here = Uuid::now_v7();
    let primary = address(&before, "postgres");
    before.process("postgres-2").freeze();
    eventually("nothing more is sent to the standby", || {
        let ended = "select count(pg_terminate_backend(pid))::text from pg_stat_replication";
        match database::text(&primary, ended).as_str() {
            "0" => Ok(()),
            still => Err(still.to_owned()),
        }
    });
    let changes = format!(
        "set synchronous_commit = local;
         update orders.orders set status = 'cancelled', cancel_reason = 'user', version = 2 where id = '{order}';
         insert into payments.payments (id, order_id, created_by, bill, currency, status)
         values ('{only_here}', '{only_here}', 'somerandomuserid', 62243, 'USD', 'pending')"
    );
    database::execute(&primary, &changes);

    user.cancel(&order).assert_problem(503, "service_unavailable");
    broker::publish_in(&before, parked::QUEUE, &parked::create_event(only_here));
    eventually("the payments service waits for the standby", || {
        let waits = "select count(*)::text from pg_stat_activity
            where usename = 'payments_service' and wait_event = 'SyncRep'";
        match database::text(&primary, waits).as_str() {
            "0" => Err("it does not".to_owned()),
            _ => Ok(()),
        }
    });

    before.process("postgres").kill();
    before.process("postgres-2").thaw();
    promote(&stack);
    let after = stack.once_all_run();
    let held = format!("select coalesce(max(id::text), 'none') from payments.payments where order_id = '{only_here}'");
    eventually("the payment is held by the new primary", || match database::text(&after.postgres, &held) {
        id if id != "none" && id != only_here.to_string() => Ok(()),
        other => Err(other),
    });
    user.order_becomes(&order, "created", "pending");
    assert_eq!(user.cancel(&order).status, 200);
}

impl User {
    fn try_to_place_order(&self) -> Answer {
        self.send("POST", "/api/orders", &json!({"bill": 62243}))
    }
}

#[track_caller]
fn promote(stack: &OwnStack) {
    let output = Command::new(stack::xtask()).args(["promote", "--dir"]).arg(stack.dir()).output();
    let output = output.expect("xtask can be run");
    assert!(output.status.success(), "{output:?}");
}

/// The first has to wait for a slot of the other one, which is promoted and fills several files of its log meanwhile.
#[track_caller]
fn replace_and_write_on(stack: &OwnStack, [old, new]: [&str; 2]) {
    let new = address(&stack.now(), new);
    let free = "generate_series(1, current_setting('max_replication_slots')::integer
        - (select count(*)::integer from pg_replication_slots)) taken";
    let slot = "pg_create_physical_replication_slot('taken_' || taken)";
    database::execute(&new, &format!("select {slot} from {free}"));
    stack.now().process(old).kill();
    promote(stack);
    for _ in 0..5 {
        database::execute(&new, "select pg_logical_emit_message(false, '', ''); select pg_switch_wal()");
        database::execute(&new, "checkpoint");
    }
    let taken = "from pg_replication_slots where starts_with(slot_name, 'taken_')";
    database::execute(&new, &format!("select pg_drop_replication_slot(slot_name) {taken}"));
}

/// What the two servers are.
fn roles(stack: &Stack) -> [&'static str; 2] {
    ["postgres", "postgres-2"].map(|name| match database::text(&address(stack, name), IS_STANDBY).as_str() {
        "true" => "standby",
        _ => "primary",
    })
}

const IS_STANDBY: &str = "select pg_is_in_recovery()::text";

/// One of the servers alone.
fn address(stack: &Stack, name: &str) -> String {
    let (login, _) = stack.postgres.split_once('@').expect("there is a login");
    format!("{login}@127.0.0.1:{}/order_processing", stack.process(name).ports[0])
}
