//! Makes changes into deliveries: for each webhook of the order's owner, a message for each thing that has happened.
//!
//! Where that has got to is stored together with the deliveries, by whichever replica is quickest: so every change becomes
//! deliveries once, whatever dies, and an order costs nothing for it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use service_kit::pool::Database;
use service_kit::process::repeat;
use shared_events::ids::OrderId;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use uuid::Uuid;

use crate::changes::{self, Change, Page, Shown};
use crate::order::Past;
use crate::orders;
use crate::snapshot::Snapshot;
use crate::webhooks::cursor::{self, NewDelivery, Told};
use crate::webhooks::event::{self, Message};

const PERIOD: Duration = Duration::from_millis(250);
/// The changes of how many statements are made into deliveries at a time: each may change hundreds of orders.
const ROWS: i64 = 4;
/// How far behind it may be that nobody wants to be told of anything, in seconds.
const IDLE_SECONDS: i64 = 10;

/// Makes changes into deliveries until `stop`. A round that fails is logged; the next one is the retry.
pub async fn run(database: Database, stop: CancellationToken) -> anyhow::Result<()> {
    repeat(PERIOD, stop.clone(), async || {
        while !stop.is_cancelled() {
            match fan_out(&database).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(problem) => return warn!(%problem, "webhooks are late"),
            }
        }
    })
    .await
}

/// Makes one page of changes into deliveries; whether it was the last.
pub async fn fan_out(database: &Database) -> Result<bool, sqlx::Error> {
    let (stored, has_webhooks) = cursor::read(database).await?;
    let now = || changes::now(database);
    let Some(stored) = stored else {
        let now = now().await?;
        cursor::begin(database, &now.to_string(), now.begin()).await?;
        return Ok(true);
    };
    let Ok(seen) = stored.parse::<Snapshot>() else {
        return Err(sqlx::Error::Decode(format!("{stored} is no snapshot").into()));
    };
    if !has_webhooks {
        let now = now().await?;
        if now.taken_at - seen.taken_at >= IDLE_SECONDS {
            cursor::advance(database, &stored, &now.to_string(), now.begin(), &[]).await?;
        }
        return Ok(true);
    }
    let Some(Page { end, changes, is_last, .. }) = changes::after(database, &seen, ROWS).await? else {
        error!("the database is an older copy: webhooks begin anew, and are not told of what it has forgotten");
        let now = now().await?;
        cursor::advance(database, &stored, &now.to_string(), now.begin(), &[]).await?;
        return Ok(true);
    };
    if !changes.is_empty() || end.taken_at - seen.taken_at >= IDLE_SECONDS {
        let deliveries = deliveries(database, changes).await?;
        cursor::advance(database, &stored, &end.to_string(), end.begin(), &deliveries).await?;
    }
    Ok(is_last)
}

/// What is to be delivered of these changes.
async fn deliveries(database: &Database, changes: Vec<Change>) -> Result<Vec<NewDelivery>, sqlx::Error> {
    let owners: BTreeSet<String> = changes.iter().map(|change| change.owner.0.clone()).collect();
    let mut webhooks: HashMap<String, Vec<Told>> = HashMap::new();
    for told in cursor::told(database, &owners.into_iter().collect::<Vec<_>>()).await? {
        webhooks.entry(told.created_by.clone()).or_default().push(told);
    }
    let wanted: Vec<Change> = changes.into_iter().filter(|change| webhooks.contains_key(&change.owner.0)).collect();
    let ids: Vec<OrderId> = wanted.iter().map(|change| change.order_id).collect();
    let past = if ids.is_empty() { HashMap::new() } else { orders::past(database, &ids).await? };
    let mut deliveries = Vec::new();
    for Shown { change, order } in changes::shown(database, wanted).await? {
        let past: &[Past] = past.get(&order.id).map_or(&[][..], Vec::as_slice);
        for event_type in event::of_version(&order, past) {
            let message = Message { event_type, timestamp: order.updated_at, data: order.clone() };
            let payload = serde_json::to_string(&message).map_err(|problem| sqlx::Error::Encode(problem.into()))?;
            let told = webhooks.get(&change.owner.0).into_iter().flatten().filter(|webhook| {
                let wants = webhook.event_types.is_empty()
                    || webhook.event_types.iter().any(|wanted| wanted == event_type.name());
                wants && webhook.told_from <= order.updated_at
            });
            deliveries.extend(told.map(|webhook| NewDelivery {
                id: Uuid::now_v7(),
                webhook_id: webhook.id,
                message_id: event::message_id(&order, event_type),
                event_type: event_type.name(),
                order_id: order.id.0,
                payload: payload.clone(),
            }));
        }
    }
    Ok(deliveries)
}
