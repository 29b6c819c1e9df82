//! Placing orders, many at a time: one statement and one commit for all that wait.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use service_kit::batcher::{Batcher, Workers};
use service_kit::database::{is_transient, retry};
use service_kit::idempotency::Claim;
use service_kit::outbox::Outbox;
use service_kit::pool::Database;
use service_kit::problem::Problem;
use shared_events::ids::OrderId;

use crate::new_order::NewOrder;
use crate::order::Order;
use crate::orders::{by_id, find_many, query_orders};

const LANES: usize = 2;
const BATCH: usize = 256;
/// How long a client is kept waiting for an absent database.
const PATIENCE: Duration = Duration::from_secs(2);

/// What became of a new order.
#[derive(Clone, Debug)]
pub enum Placed {
    /// It is placed.
    Now(Order),
    /// An earlier request with the same Idempotency-Key has placed this one.
    Before(Order),
    /// An earlier request with the same Idempotency-Key asked for something else.
    KeyReused,
}

/// Starts the workers that place orders many at a time.
pub fn start(
    database: Database,
    outbox: Outbox,
    unpaid_expiry: Duration,
) -> (Batcher<NewOrder, Result<Placed, Problem>>, Workers) {
    Batcher::start(LANES, BATCH, move |batch: Vec<NewOrder>| {
        let (database, outbox) = (database.clone(), outbox.clone());
        async move { place_batch(&database, &outbox, unpaid_expiry, &batch).await }
    })
}

/// Answers in the order of the batch. An order that the database refuses fails alone.
async fn place_batch(
    database: &Database,
    outbox: &Outbox,
    unpaid_expiry: Duration,
    batch: &[NewOrder],
) -> Vec<Result<Placed, Problem>> {
    match retry(PATIENCE, || place(database, unpaid_expiry, batch)).await {
        Ok(answers) => {
            let committed = batch.iter().zip(&answers).filter(|(_, answer)| matches!(answer, Ok(Placed::Now(_))));
            outbox.hand_over(committed.map(|(new, _)| new.message.clone()).collect());
            answers
        }
        Err(problem) if batch.len() > 1 && !is_transient(&problem) => {
            let mut answers = Vec::with_capacity(batch.len());
            for new in batch.chunks(1) {
                answers.extend(Box::pin(place_batch(database, outbox, unpaid_expiry, new)).await);
            }
            answers
        }
        Err(problem) => vec![Err(Problem::from(problem)); batch.len()],
    }
}

/// Places orders with their events and the claims of their keys, and answers in their order. Those that are already
/// there, because an earlier attempt was committed and its answer lost, are answered as if they were placed now.
pub async fn place(
    database: &Database,
    unpaid_expiry: Duration,
    new: &[NewOrder],
) -> Result<Vec<Result<Placed, Problem>>, sqlx::Error> {
    let placed = query_orders!(
        r#"
        with new as (
            select * from jsonb_to_recordset($1) as new (
                id uuid, created_by text, bill bigint, currency text, items jsonb, reference text, message jsonb,
                claim jsonb
            )
        ), claimed as (
            insert into orders.idempotency_keys (scope, fingerprint, order_id)
            select claim.scope, claim.fingerprint, new.id
            from new
            cross join jsonb_to_record(new.claim) as claim (scope bytea, fingerprint bytea)
            where jsonb_typeof(new.claim) = 'object'
            -- In one order, so that two batches cannot wait for each other.
            order by claim.scope
            on conflict (scope) do nothing
            returning order_id
        ), placed as (
            insert into orders.orders (id, created_by, bill, currency, items, reference, expires_at)
            select id, created_by, bill, currency, items, reference, now() + make_interval(secs => $2)
            from new
            where jsonb_typeof(claim) is distinct from 'object' or id in (select order_id from claimed)
            on conflict (id) do nothing
            returning *
        ), announced as (
            insert into orders.outbox (id, event, order_id, data, traceparent)
            select message.*
            from placed
            join new using (id)
            cross join jsonb_to_record(new.message)
                as message (id uuid, event text, order_id uuid, data jsonb, traceparent text)
        )
        "#,
        "from placed",
        json!(new),
        unpaid_expiry.as_secs_f64(),
    )
    .fetch_all(database)
    .await?;
    let mut orders = by_id(placed);
    let mut answers = Vec::with_capacity(new.len());
    let earlier = placed_earlier(database, new.iter().filter(|new| !orders.contains_key(&new.id))).await?;
    for new in new {
        let now = orders.remove(&new.id).map(Placed::Now);
        let answer = now.or_else(|| earlier.get(&new.id).cloned());
        answers.push(answer.ok_or_else(Problem::internal));
    }
    Ok(answers)
}

/// What is known of orders that were not placed because they, or their keys, are there already.
async fn placed_earlier(
    database: &Database,
    missing: impl Iterator<Item = &NewOrder>,
) -> Result<HashMap<OrderId, Placed>, sqlx::Error> {
    let missing: Vec<&NewOrder> = missing.collect();
    if missing.is_empty() {
        return Ok(HashMap::new());
    }
    let keys = find_keys(database, missing.iter().filter_map(|new| new.claim.as_ref())).await?;
    let key_of = |new: &NewOrder| new.claim.as_ref().and_then(|claim| keys.get(claim.scope.as_bytes()));
    let ids: Vec<OrderId> = missing.iter().map(|new| key_of(new).map_or(new.id, |key| key.order_id)).collect();
    let orders = find_many(database, &ids).await?;
    let answer = |(new, id): (&&NewOrder, &OrderId)| {
        let order = orders.get(id)?.clone();
        let fits = |key: &Key| new.claim.as_ref().is_some_and(|claim| claim.fingerprint.as_bytes() == key.fingerprint);
        let placed = match key_of(new) {
            Some(key) if !fits(key) => Placed::KeyReused,
            Some(key) if key.order_id != new.id => Placed::Before(order),
            _ => Placed::Now(order),
        };
        Some((new.id, placed))
    };
    Ok(missing.iter().zip(&ids).filter_map(answer).collect())
}

struct Key {
    fingerprint: Vec<u8>,
    order_id: OrderId,
}

/// Those of the claims' keys that are known, by their scope.
async fn find_keys(
    database: &Database,
    claims: impl Iterator<Item = &Claim>,
) -> Result<HashMap<Vec<u8>, Key>, sqlx::Error> {
    let scopes: Vec<Vec<u8>> = claims.map(|claim| claim.scope.as_bytes().to_vec()).collect();
    let keys = sqlx::query!(
        "select scope, fingerprint, order_id from orders.idempotency_keys where scope = any($1)",
        &scopes,
    )
    .fetch_all(database)
    .await?;
    let by_scope =
        keys.into_iter().map(|key| (key.scope, Key { fingerprint: key.fingerprint, order_id: OrderId(key.order_id) }));
    Ok(by_scope.collect())
}
