//! `cargo xtask reconcile` on a database whose rows are tampered with: each kind of difference is found.

use std::collections::BTreeSet;

use service_kit::testing;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgPool};

use crate::database;
use crate::reconciliation::{Reconciliation, print};
use crate::stack::Stack;

const STATEMENT: &str = include_str!("../../../xtask/src/reconcile.sql");

/// What is done to consistent books, and the kinds of difference that it makes.
const TAMPERING: &[(&str, &[&str])] = &[
    ("delete from payments.payments where status = 'pending'", &["order_without_payment"]),
    (
        "delete from orders.orders where id = (select order_id from payments.payments where status = 'pending')",
        &["payment_without_order"],
    ),
    (
        "insert into payments.payments (id, order_id, status, updated_at)
         values (gen_random_uuid(), gen_random_uuid(), 'cancelled', now() - interval '1 hour')",
        &["payment_without_order"],
    ),
    ("update payments.payments set bill = bill + 1 where status = 'pending'", &["terms_differ"]),
    ("update payments.payments set currency = 'EUR' where status = 'pending'", &["terms_differ"]),
    ("update payments.payments set created_by = 'bob' where status = 'paid'", &["terms_differ"]),
    (
        "update payments.payments set created_by = null, bill = null, currency = null where status = 'cancelled'",
        &["terms_differ"],
    ),
    ("update orders.orders set status = 'confirmed', deliver_at = now() where status = 'declined'", &[
        "order_contradicts_itself",
    ]),
    ("update orders.orders set status = 'created' where status = 'declined'", &["order_contradicts_itself"]),
    ("update orders.orders set payment_version = 1 where status = 'declined'", &["payment_status_differs"]),
    (
        "update orders.orders set status = 'declined', payment_status = 'declined' where status = 'delivered'",
        &["payment_status_differs"],
    ),
    (
        "update orders.orders set status = 'delivered', payment_status = 'paid', deliver_at = now()
         where id = (select order_id from payments.payments where status = 'pending')",
        &["payment_status_differs"],
    ),
    ("update orders.orders set payment_status = 'cancelled' where payment_status = 'refunded'", &[
        "payment_status_differs",
    ]),
    (
        "update orders.orders set status = 'cancelled', cancel_reason = 'user' where status = 'delivered'",
        &["cancelled_on_one_side"],
    ),
    (
        "update orders.orders set status = 'confirmed', cancel_reason = null, deliver_at = now()
         where payment_status = 'paid' and status = 'cancelled'",
        &["cancelled_on_one_side"],
    ),
    ("update payments.payments set cancel_requested = true where status = 'processing'", &["cancelled_on_one_side"]),
    ("update payments.payments set attempts = attempts + 1 where status = 'pending'", &["attempts_miscounted"]),
    ("delete from payments.attempts where outcome = 'started'", &[
        "attempt_contradicts_payment",
        "attempts_miscounted",
    ]),
    ("update payments.attempts set number = 0 where outcome = 'voided'", &["attempts_miscounted"]),
    ("update payments.payments set status = 'pending' where status = 'declined'", &["attempt_contradicts_payment"]),
    ("update payments.payments set attempt_id = gen_random_uuid() where status = 'declined'", &[
        "attempt_contradicts_payment",
    ]),
    ("update payments.payments set attempt_id = null where status = 'declined'", &["attempt_contradicts_payment"]),
    ("update payments.attempts set outcome = 'started' where outcome = 'voided'", &["attempt_contradicts_payment"]),
    (
        "update payments.ledger set amount = amount - 1 where account = 'revenue' and amount = -300",
        &["unbalanced_transaction"],
    ),
    ("delete from payments.ledger where account = 'revenue' and amount = -300", &["unbalanced_transaction"]),
    ("update payments.ledger set currency = 'EUR' where account = 'revenue'", &["unbalanced_transaction"]),
    ("delete from payments.ledger where abs(amount) = 300", &["charge_not_posted", "kept_money_differs"]),
    ("update payments.ledger set amount = 2 * amount where abs(amount) = 500", &[
        "charge_not_posted",
        "refund_not_posted",
    ]),
    ("update payments.ledger set currency = 'EUR' where abs(amount) = 300", &[
        "charge_not_posted",
        "kept_money_differs",
    ]),
    (
        "delete from payments.ledger where tx_id in
             (select tx_id from payments.ledger where account = 'card_processor' and amount = -500)",
        &["kept_money_differs", "refund_not_posted"],
    ),
    (
        "drop index payments.one_charge_and_one_refund;
         insert into payments.ledger
         select '00000000-0000-0000-0000-00000000000a', account, amount - sign(amount), currency, order_id
         from payments.ledger where (account, amount) in (('card_processor', -500), ('revenue', 500));
         update payments.ledger set amount = sign(amount)
         where (account, amount) in (('card_processor', -500), ('revenue', 500))",
        &["refund_not_posted"],
    ),
    (
        "insert into payments.ledger (tx_id, account, amount, currency, order_id)
         select ids.id, account, sign * 5, 'USD', order_id
         from (values (gen_random_uuid(), 1), (gen_random_uuid(), -1)) as ids (id, direction)
         cross join lateral (values ('card_processor', direction), ('revenue', -direction)) as entry (account, sign)
         cross join payments.payments where status = 'pending'",
        &["posting_without_attempt"],
    ),
    (
        "update payments.ledger set tx_id = '00000000-0000-0000-0000-00000000000a' where abs(amount) = 300",
        &["charge_not_posted", "posting_without_attempt"],
    ),
    (
        "insert into payments.ledger (tx_id, account, amount, currency, order_id)
         select '00000000-0000-0000-0000-00000000000a', account, -amount, currency, order_id
         from payments.ledger where abs(amount) = 300",
        &["kept_money_differs"],
    ),
    ("delete from sandbox.charges where status = 'declined'", &["attempt_not_in_book"]),
    ("delete from sandbox.charges where status = 'voided'", &["attempt_not_in_book"]),
    ("update sandbox.charges set amount = amount + 1 where amount = 300", &["book_differs"]),
    ("update sandbox.charges set currency = 'EUR' where status = 'refunded'", &["book_differs"]),
    ("update sandbox.charges set order_id = gen_random_uuid() where status = 'refunded'", &["book_differs"]),
    ("update sandbox.charges set decline_code = 'lost_card' where amount = 200", &["book_differs"]),
    ("update sandbox.charges set status = 'approved' where amount = 200", &["book_differs"]),
    ("update sandbox.charges set status = 'declined' where amount = 700", &["book_differs"]),
    ("update sandbox.charges set status = 'approved' where status = 'refunded'", &["refund_differs"]),
    ("update sandbox.charges set status = 'refunded' where amount = 300 and status = 'approved'", &["refund_differs"]),
    (
        "insert into sandbox.charges (attempt_id, order_id, amount, currency, status)
         select gen_random_uuid(), order_id, bill, currency, 'declined' from payments.payments where status = 'pending'",
        &["charge_without_attempt"],
    ),
    ("update sandbox.charges set status = 'approved' where amount = 300 and status = 'declined'", &[
        "book_differs",
        "charged_twice",
    ]),
    ("update payments.payments set updated_at = now() - interval '2 minutes' where status = 'processing'", &[
        "in_doubt_too_long",
    ]),
    ("update payments.payments set updated_at = now() - interval '2 minutes' where status = 'refunding'", &[
        "in_doubt_too_long",
    ]),
];

/// What events have not carried over yet, and the kind of difference that it is once they should have.
const UNDER_WAY: &[(&str, &str)] = &[
    (
        "insert into orders.orders (id, created_by, bill, currency, expires_at)
         values (gen_random_uuid(), 'alice', 5, 'USD', now())",
        "order_without_payment",
    ),
    (
        "insert into payments.payments (id, order_id, status) values (gen_random_uuid(), gen_random_uuid(), 'cancelled')",
        "payment_without_order",
    ),
    (
        "update payments.payments set created_by = null, bill = null, currency = null, version = 1, updated_at = now()
         where status = 'cancelled';
         update orders.orders set payment_status = 'pending', payment_version = 0 where payment_status = 'cancelled'",
        "terms_differ",
    ),
    (
        "update orders.orders set status = 'declined', payment_status = 'declined', payment_version = 5
         where status = 'delivered';
         update payments.payments set updated_at = now() where status = 'paid'",
        "payment_status_differs",
    ),
    (
        "update orders.orders set status = 'cancelled', cancel_reason = 'user', updated_at = now()
         where status = 'declined'",
        "cancelled_on_one_side",
    ),
];

#[sqlx::test(migrations = false)]
async fn each_kind_of_difference_is_found(database: PgPool) {
    let books = Books::new(database).await;
    for (tampering, expected) in TAMPERING {
        let found = books.after(tampering, "10s").await;
        assert_eq!(found.kinds(), *expected, "{tampering}: {found:#?}");
    }
}

#[sqlx::test(migrations = false)]
async fn what_an_event_has_yet_to_carry_is_in_flight_until_the_grace_period_is_over(database: PgPool) {
    let books = Books::new(database).await;
    for (change, kind) in UNDER_WAY {
        let found = books.after(change, "1m").await;
        // Two are always: the charge and the refund without an answer.
        let seen = (found.kinds(), &found.compared["in_flight"]);
        assert_eq!(seen, (vec![], &3.into()), "{change}: {found:#?}");
        let found = books.after(change, "0s").await;
        let seen = (found.kinds(), &found.compared["in_flight"]);
        assert_eq!(seen, (vec![*kind], &2.into()), "{change}: {found:#?}");
    }
}

#[test]
fn every_kind_of_difference_has_its_tampering() {
    let (findings, _) = STATEMENT.split_once("judged as (").expect("the findings end before they are judged");
    let kind = |line: &'static str| line.trim().strip_prefix("select '")?.split('\'').next();
    let known: BTreeSet<_> = findings.lines().filter_map(kind).collect();
    let between = findings.lines().filter(|line| *line == "    union all").count();
    assert_eq!(known.len(), between + 1, "a finding does not begin with a kind of its own");
    let covered: BTreeSet<_> = TAMPERING.iter().flat_map(|(_, kinds)| kinds.iter().copied()).collect();
    assert_eq!(covered, known);
}

#[sqlx::test(migrations = false)]
async fn a_person_reads_counts_then_differences_then_how_many_there_are(database: PgPool) {
    let books = Books::new(database).await;
    let printed = books.print_after("select").await;
    let expected = "orders                        7\n\
                    payments                      7\n\
                    attempts                      7\n\
                    ledger transactions           4\n\
                    charges in book               6\n\
                    in flight                     2\n\
                    card processor USD         1000\n\
                    revenue USD               -1000\n\
                    \n\
                    0 differences\n";
    assert_eq!((printed.0, printed.1.as_str()), (true, expected));
    let (success, out) = books.print_after("update sandbox.charges set amount = 1 where status = 'refunded'").await;
    let line = "book_differs                 00000000-0000-7000-8000-000000000005  \
                expected 500 USD approved; found 1 USD refunded\n\
                1 difference\n";
    assert!(!success && out.ends_with(line), "{out}");
}

/// A database with all schemas, in which nothing differs until it is tampered with.
pub struct Books {
    superuser: PgPool,
    url: String,
}

impl Books {
    pub async fn new(superuser: PgPool) -> Self {
        testing::bootstrap(&superuser).await;
        let schemas: [(_, &Migrator); 3] = [
            (orders_service::SCHEMA, &orders_service::MIGRATOR),
            (payments_service::SCHEMA, &payments_service::MIGRATOR),
            (payments_service::sandbox::SCHEMA, &payments_service::sandbox::MIGRATOR),
        ];
        for (schema, migrator) in schemas {
            testing::migrate(&superuser, schema, migrator).await;
        }
        let name: String = sqlx::query_scalar("select current_database()")
            .fetch_one(&superuser)
            .await
            .expect("the database has a name");
        let url = database::sibling(&Stack::now().postgres, &name);
        Self { superuser, url }
    }

    /// Where they are.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What is found in them as they are.
    pub fn now(&self, grace: &str) -> Reconciliation {
        Reconciliation::of_database(&self.url, grace)
    }

    pub async fn after(&self, tampering: &str, grace: &str) -> Reconciliation {
        self.write(tampering).await;
        Reconciliation::of_database(&self.url, grace)
    }

    /// Whether the exit code is 0, and what is printed.
    async fn print_after(&self, tampering: &str) -> (bool, String) {
        self.write(tampering).await;
        let printed = print(&["--database-url", &self.url]);
        (printed.success, printed.out)
    }

    /// Consistent books, and then something done to them that no guard in the database hinders.
    async fn write(&self, tampering: &str) {
        let consistent = include_str!("consistent_books.sql");
        let statements = format!(
            "set local session_replication_role = replica;
             truncate orders.orders, orders.order_events, orders.idempotency_keys, payments.payments,
                 payments.attempts, payments.idempotency_keys, payments.ledger, sandbox.charges,
                 orders.archived_orders, payments.archived_payments;
             {consistent};
             {tampering}"
        );
        let written = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&self.superuser).await;
        written.unwrap_or_else(|error| panic!("{tampering}: {error}"));
    }
}
