//! The ledger guards itself, also against the owner of its schema.

use axum::http::StatusCode;
use payments_service::SCHEMA;
use service_kit::pool::Database;
use service_kit::testing::{Login, url_of};
use sqlx::PgPool;

use crate::helpers::{APPROVED, BILL, TestApp};

/// The entries of one statement, and what is wrong with them.
const UNBALANCED: [(&str, &str); 4] = [
    ("(gen_random_uuid(), 'card_processor', 5, 'USD', gen_random_uuid())", "has 1 in USD, with a sum of 5"),
    (
        "('00000000-0000-0000-0000-00000000000a', 'card_processor', 5, 'USD', gen_random_uuid()),
         ('00000000-0000-0000-0000-00000000000a', 'revenue', -4, 'USD', gen_random_uuid())",
        "has 2 in USD, with a sum of 1",
    ),
    (
        "('00000000-0000-0000-0000-00000000000a', 'card_processor', 5, 'USD', gen_random_uuid()),
         ('00000000-0000-0000-0000-00000000000a', 'revenue', -5, 'EUR', gen_random_uuid())",
        "has 1 in ",
    ),
    (
        "(gen_random_uuid(), 'card_processor', 5, 'USD', gen_random_uuid()),
         (gen_random_uuid(), 'revenue', -5, 'USD', gen_random_uuid())",
        "has 1 in USD, with a sum of ",
    ),
];

#[sqlx::test(migrations = false)]
async fn what_is_posted_stays(superuser: PgPool) {
    let service = TestApp::start(superuser.clone()).await;
    let owner = Database::connect_lazy(&url_of(&superuser, SCHEMA, Login::Owner), 1).expect("a pool");
    let id = service.held_payment().await;
    service.pay(id, APPROVED).await.expect(StatusCode::OK);
    for (statement, verb) in [
        ("update payments.ledger set amount = 2 * amount", "update"),
        ("delete from payments.ledger", "delete"),
        ("truncate payments.ledger", "truncate"),
        ("update payments.ledger set amount = 1 where false", "update"),
    ] {
        let refusal = sqlx::raw_sql(statement).execute(&owner).await.expect_err("it is refused");
        let expected = format!("the ledger is append-only: no {verb} of what is posted");
        assert!(refusal.to_string().contains(&expected), "{statement}: {refusal}");
    }
    assert_eq!(service.ledger(id).await, [BILL]);
}

#[sqlx::test(migrations = false)]
async fn only_what_is_in_balance_is_posted(superuser: PgPool) {
    let service = TestApp::start(superuser).await;
    for (entries, complaint) in UNBALANCED {
        let statement =
            format!("insert into payments.ledger (tx_id, account, amount, currency, order_id) values {entries}");
        let refusal = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&service.app.database).await;
        let refusal = refusal.expect_err("it is refused");
        assert!(refusal.to_string().contains(complaint), "{entries}: {refusal}");
        // A defect of the data, which no repetition mends.
        assert!(service_kit::database::is_refusal(&refusal), "{refusal:?}");
    }
    let posted: i64 = sqlx::query_scalar("select count(*) from payments.ledger")
        .fetch_one(&service.app.database)
        .await
        .expect("the ledger can be read");
    assert_eq!(posted, 0);
}

#[sqlx::test(migrations = false)]
async fn an_order_is_neither_charged_nor_refunded_twice(superuser: PgPool) {
    let service = TestApp::start(superuser).await;
    let id = service.held_payment().await;
    service.pay(id, APPROVED).await.expect(StatusCode::OK);
    // The refund is the first, and then there is one of each.
    for (direction, taken) in [(1, false), (-1, true), (-1, false), (1, false)] {
        let posted = sqlx::query(
            "insert into payments.ledger (tx_id, account, amount, currency, order_id)
             select tx_id, account, $2 * sign * 5, 'USD', $1
             from (select gen_random_uuid() as tx_id offset 0) as posting
             cross join (values ('card_processor', 1), ('revenue', -1)) as entry (account, sign)",
        )
        .bind(id)
        .bind(direction)
        .execute(&service.app.database)
        .await;
        assert_eq!(posted.is_ok(), taken, "{direction}: {posted:?}");
        assert!(posted.err().is_none_or(|refusal| service_kit::database::is_refusal(&refusal)), "{direction}");
    }
    assert_eq!(service.ledger(id).await, [BILL, -5]);
}
