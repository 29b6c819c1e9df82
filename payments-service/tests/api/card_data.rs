//! Nothing of a card is kept but brand, last four digits and expiry.

use sqlx::PgPool;

use crate::helpers::{APPROVED, CHARGED_IN_SILENCE, DECLINED, LOST, TestApp};

#[sqlx::test(migrations = false)]
async fn no_table_holds_a_card_number_or_its_code(database: PgPool) {
    let service = TestApp::start(database.clone()).await;
    let numbers = [APPROVED, DECLINED, CHARGED_IN_SILENCE, LOST];
    for number in numbers {
        let id = service.held_payment().await;
        // The answers are of no interest here.
        drop(service.pay(id, number).await);
        service.settle_in_time(id).await;
        service.hear_cancel(vec![id]).await;
        service.settle_in_time(id).await;
    }
    for schema in ["payments", "sandbox"] {
        let dump: String = sqlx::query_scalar("select schema_to_xml($1, false, false, '')::text")
            .bind(schema)
            .fetch_one(&database)
            .await
            .expect("the schema can be read");
        assert!(dump.contains("62243"), "the dump holds the rows");
        for number in numbers {
            assert!(!dump.contains(number), "{number} in {dump}");
        }
        // As a value of its own; within an id it would be chance.
        for code in [">8351<", ">8351\"", "\"8351\""] {
            assert!(!dump.contains(code), "{code} in {dump}");
        }
    }
}
