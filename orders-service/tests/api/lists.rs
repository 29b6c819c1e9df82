//! `GET /api/orders` with filters, and what it costs.

use std::fs;

use axum::http::StatusCode;
use serde_json::Value;
use shared_events::ids::OrderId;
use sqlx::{AssertSqlSafe, PgPool};

use crate::helpers::{TestApp, id_of};

/// The user of the demo token.
const OWNER: &str = "somerandomuserid";
/// So many other orders that no plan but a good one is quick.
const MANY: &str = "insert into orders.orders (id, created_by, bill, currency, expires_at, created_at)
    select gen_random_uuid(), case when n % 4 = 0 then 'somerandomuserid' else 'user' || n % 100 end, 1, 'USD', now(),
        timestamptz '2025-01-01' + n * interval '1 minute'
    from generate_series(1, 20000) as n";

async fn listed(service: &TestApp, query: &str) -> Vec<OrderId> {
    let list = service.get(&format!("/api/orders?{query}")).await.expect(StatusCode::OK);
    list.as_array().expect("a list").iter().map(id_of).collect()
}

/// Places orders that were created on the first days of 2026, the newest last.
async fn placed_on_days(service: &TestApp, days: u8) -> Vec<OrderId> {
    let mut placed = Vec::new();
    for day in 1..=days {
        let id = service.placed_order().await;
        let created_at = format!("2026-01-0{day}T00:00:00.000001Z");
        let statement = "update orders.orders set created_at = $2::timestamptz where id = $1";
        let moved = sqlx::query(AssertSqlSafe(statement.replace("$2", &format!("'{created_at}'")))).bind(id);
        moved.execute(&service.superuser).await.expect("the order is older now");
        placed.push(id);
    }
    placed
}

#[sqlx::test(migrations = false)]
async fn a_list_can_be_filtered_by_time(database: PgPool) {
    let service = TestApp::start(database).await;
    let placed = placed_on_days(&service, 4).await;
    let newest_first = |orders: &[OrderId]| orders.iter().rev().copied().collect::<Vec<_>>();
    for (query, expected) in [
        ("createdAfter=2026-01-02T12:00:00Z", &placed[2..]),
        ("createdBefore=2026-01-02T12:00:00Z", &placed[..2]),
        ("createdAfter=2026-01-01T12:00:00Z&createdBefore=2026-01-03T12:00:00Z", &placed[1..3]),
        // Neither is met by the moment itself.
        ("createdAfter=2026-01-02T00:00:00.000001Z", &placed[2..]),
        ("createdBefore=2026-01-02T00:00:00.000001Z", &placed[..1]),
        ("createdAfter=2026-01-02T01:00:00.000001%2B01:00", &placed[2..]),
        ("createdAfter=2026-01-03T00:00:00Z&createdBefore=2026-01-02T00:00:00Z", &[]),
        ("createdAfter=0001-01-01T00:00:00Z&createdBefore=9999-12-31T23:59:59Z", &placed[..]),
    ] {
        assert_eq!(listed(&service, query).await, newest_first(expected), "{query}");
    }
    service.delete_order(placed[1]).await.expect(StatusCode::OK);
    let query = "status=cancelled&createdAfter=2026-01-01T00:00:00Z&createdBefore=2026-01-04T00:00:00Z";
    assert_eq!(listed(&service, query).await, [placed[1]]);
    assert_eq!(listed(&service, "status=cancelled&createdAfter=2026-01-03T00:00:00Z").await, []);
}

#[sqlx::test(migrations = false)]
async fn the_header_link_leads_through_all_pages_of_what_was_asked_for(database: PgPool) {
    let service = TestApp::start(database).await;
    let placed = placed_on_days(&service, 5).await;
    service.delete_order(placed[2]).await.expect(StatusCode::OK);
    let mut path = "/api/orders?status=created&createdAfter=2026-01-01T12:00:00Z&limit=1".to_owned();
    let mut seen = Vec::new();
    loop {
        let answer = service.get(&path).await;
        let link = answer.headers.get("link").map(|link| link.to_str().expect("text").to_owned());
        assert_eq!(link.is_some(), answer.body["page"]["nextCursor"].is_string(), "{}", answer.body);
        seen.extend(answer.expect(StatusCode::OK).as_array().expect("a list").iter().map(id_of));
        let Some(link) = link else { break };
        let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        next.expect("a link to the next page").clone_into(&mut path);
    }
    assert_eq!(seen, [placed[4], placed[3], placed[1]]);
}

#[sqlx::test(migrations = false)]
async fn a_time_that_is_none_is_refused(database: PgPool) {
    let service = TestApp::start(database).await;
    for time in ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "1767225600", "2026-02-30T00:00:00Z", "%00"] {
        for name in ["createdAfter", "createdBefore"] {
            let answer = service.get(&format!("/api/orders?{name}={time}")).await;
            let problem = answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], format!("#/{name}"));
        }
    }
}

/// As the compiler has checked it.
fn statement_of_the_list() -> String {
    let folder = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.sqlx")).expect("the statements");
    let checked = folder.map(|file| fs::read(file.expect("a file").path()).expect("a file"));
    let statements = checked.map(|json| serde_json::from_slice::<Value>(&json).expect("JSON")["query"].clone());
    let mut texts = statements.filter_map(|statement| statement.as_str().map(str::to_owned));
    texts.find(|text| text.contains("from orders.orders") && text.contains("limit $6")).expect("the list")
}

#[sqlx::test(migrations = false)]
async fn a_list_reads_what_it_shows_however_many_orders_there_are(database: PgPool) {
    TestApp::start(database.clone()).await;
    sqlx::raw_sql(MANY).execute(&database).await.expect("many orders");
    sqlx::raw_sql("analyze orders.orders").execute(&database).await.expect("statistics");
    let statement = statement_of_the_list();
    let mut connection = database.acquire().await.expect("a connection");
    let prepare = format!(
        "prepare list (text, timestamptz, uuid, timestamptz, text, bigint) as {statement};
        -- As it is planned when it has been asked for often.
        set plan_cache_mode = force_generic_plan;"
    );
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.expect("the statement is prepared");
    for (arguments, removed_at_most) in [
        ("null, null, null, null", 0),
        ("'2025-01-05', gen_random_uuid(), null, null", 0),
        ("'2025-01-05', gen_random_uuid(), '2025-01-02', null", 0),
        ("null, null, '2025-01-14 20:00', 'created'", 0),
        // No index knows the status: what is between the bounds and has another one is passed over.
        ("'2025-01-05', gen_random_uuid(), '2025-01-04', 'delivered'", 400),
    ] {
        let explain = format!("explain (analyze, format json) execute list ('{OWNER}', {arguments}, 101)");
        let plan: sqlx::types::Json<Value> = sqlx::query_scalar(AssertSqlSafe(explain))
            .persistent(false)
            .fetch_one(&mut *connection)
            .await
            .expect("a plan");
        let text = plan.to_string();
        assert!(text.contains("orders_by_owner_and_time") && !text.contains("Seq Scan"), "{arguments}: {text}");
        assert!(!text.contains("\"Sort\""), "{arguments}: {text}");
        let removed = text.split("\"Rows Removed by Filter\":").nth(1).map_or(0, |rest| {
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>().expect("a number")
        });
        assert!(removed <= removed_at_most, "{arguments}: {removed} rows were read in vain: {text}");
    }
}
