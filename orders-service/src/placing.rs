//! Placing orders, many at a time: one statement and one commit for all that wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use service_kit::batcher::Batcher;
use service_kit::database::{batched, found_no_more};
use service_kit::idempotency::Claim;
use service_kit::metrics::Metrics;
use service_kit::outbox::Outbox;
use service_kit::pool::Database;
use service_kit::problem::Problem;
use shared_events::events::{Event, PaymentCreate};
use shared_events::ids::OrderId;

use crate::new_order::NewOrder;
use crate::order::Order;
use crate::orders::{find_replicated, query_orders};

const BATCH: usize = 256;

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

/// Where new orders are placed, many at a time. `None` would be an order that is neither there nor can be placed.
pub type Placing = Batcher<NewOrder, Result<Option<Placed>, Problem>>;

/// Starts placing orders.
pub fn start(database: Database, outbox: Outbox, metrics: &Metrics, unpaid_expiry: Duration) -> Placing {
    batched(BATCH, metrics.batch_sizes("placing"), move |new: Arc<[NewOrder]>| {
        let (database, outbox) = (database.clone(), outbox.clone());
        async move { place(&database, &outbox, unpaid_expiry, &new).await }
    })
}

/// Places orders with their events and the claims of their keys, and answers in their order. Those that are already
/// there, because an earlier attempt was committed and its answer lost, are answered as if they were placed now.
pub async fn place(
    database: &Database,
    outbox: &Outbox,
    unpaid_expiry: Duration,
    new: &[NewOrder],
) -> Result<Vec<Option<Placed>>, sqlx::Error> {
    let placed = query_orders!(
        r#"
        with new as (
            select * from unnest($1::orders.new_order[])
        ), claimed as (
            insert into orders.idempotency_keys (scope, fingerprint, order_id)
            select claim.scope, claim.fingerprint, new.id
            from new
            cross join jsonb_to_record(new.claim) as claim (scope bytea, fingerprint bytea)
            where new.claim is not null
            -- In one order, so that two batches cannot wait for each other.
            order by claim.scope
            on conflict (scope) do nothing
            returning order_id
        ), wanted as (
            select * from new
            where claim is null or id = any(array(select order_id from claimed))
        ), placed as (
            insert into orders.orders (id, created_by, bill, currency, items, reference, expires_at, traceparent)
            select id, created_by, bill, currency, items, reference, now() + make_interval(secs => $2), traceparent
            from wanted
            on conflict (id) do nothing
            returning *
        ), told as (
            insert into orders.changes (order_ids, versions, owners)
            select array_agg(id), array_agg(version), array_agg(created_by) from placed having count(*) > 0
        ), announced as (
            insert into orders.outbox (id, event, order_id, data, traceparent)
            select event_id, $3, id, event, traceparent
            from wanted
            -- An order that is there already is announced again at worst.
            on conflict (id) do nothing
        )
        "#,
        "from placed",
        new as _,
        unpaid_expiry.as_secs_f64(),
        PaymentCreate::NAME,
    )
    .fetch_all(database)
    .await?;
    let mut answers: HashMap<OrderId, Placed> =
        placed.into_iter().map(|order| (order.id, Placed::Now(order))).collect();
    answers.extend(placed_earlier(database, new.iter().filter(|new| !answers.contains_key(&new.id))).await?);
    let committed = new.iter().filter(|new| matches!(answers.get(&new.id), Some(Placed::Now(_))));
    outbox.hand_over(committed.map(NewOrder::message).collect());
    Ok(new.iter().map(|new| answers.remove(&new.id)).collect())
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
    let keys = find_keys(database, missing.iter().filter_map(|new| new.claim.as_deref())).await?;
    let key_of = |new: &NewOrder| new.claim.as_ref().and_then(|claim| keys.get(claim.scope.as_bytes()));
    let ids: Vec<OrderId> = missing.iter().map(|new| key_of(new).map_or(new.id, |key| key.order_id)).collect();
    let orders = find_replicated(database, &ids).await?;
    let answer = |(new, id): (&&NewOrder, &OrderId)| {
        let order = orders.get(id).ok_or_else(found_no_more)?.clone();
        let fits = |key: &Key| new.claim.as_ref().is_some_and(|claim| claim.fingerprint.as_bytes() == key.fingerprint);
        let placed = match key_of(new) {
            Some(key) if !fits(key) => Placed::KeyReused,
            Some(key) if key.order_id != new.id => Placed::Before(order),
            _ => Placed::Now(order),
        };
        Ok((new.id, placed))
    };
    missing.iter().zip(&ids).map(answer).collect()
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
