//! Streams of orders, as server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>): what is
//! there, then each change. Who is cut off resumes with the id of the last event that it has got.

use std::convert::Infallible;
use std::str::FromStr;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use service_kit::auth::User;
use service_kit::http::PathId;
use service_kit::page::{self, PageRequest};
use service_kit::pool::Database;
use service_kit::problem::Problem;
use shared_events::ids::{OrderId, UserId};
use uuid::Uuid;

use crate::changes::{self, Change, Page};
use crate::live::{Follower, News, Told};
use crate::order::Order;
use crate::problems::order_not_found;
use crate::snapshot::Place;
use crate::{App, orders};

/// How often something is sent at least. The gateway gives a stream up that is silent for four times as long.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// After which a stream ends: whoever resumes it shows a token that is still good.
const MAX_AGE: Duration = Duration::from_hours(1);
/// When a client that was cut off comes back: not all at the same moment.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_SPREAD_MS: u64 = 2000;
/// Who has missed more pages of changes than this, or more changes of its own, is told what is there instead.
const MAX_PAGES_MISSED: usize = 100;
const MAX_MISSED: usize = 4096;

/// Follow an order
///
/// As `event: order` with the order as JSON: first as it is, then at each change. The `id` is its version: who comes back
/// with it as `Last-Event-ID` gets every later version once.
#[utoipa::path(get, path = "/api/orders/{id}/stream", operation_id = "followOrder", tag = "orders")]
pub(crate) async fn follow_order(
    State(app): State<App>,
    User(user): User,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = OrderId(id.ok_or_else(order_not_found)?);
    let _turn = app.live.turn().await;
    let follower = app.live.follow_order(id).await?;
    let order = app.finding.find(id, &user).await?;
    let mut version = order.version;
    let first = match last_event_id(&headers) {
        Some(seen) if (1..=order.version).contains(&seen) => missed(&app.database, order, seen).await?,
        _ => vec![order],
    };
    let first = first.iter().map(|order| order_event(&order.version, &json_of(order))).collect();
    Ok(opened(first, follower, move |news| {
        let newer = news.changes.iter().filter(|told| told.change.version > version);
        let events = newer.map(|told| order_event(&told.change.version, &told.order)).collect();
        version = news.changes.iter().map(|told| told.change.version).fold(version, i32::max);
        events
    }))
}

/// Follow your orders
///
/// First `event: orders` with the newest of them, as the first page of the list has them; then `event: order` with an order
/// as JSON at each change of any of them, new ones included. Who comes back with the last `id` as `Last-Event-ID` gets what
/// has changed since, each version of an order once; or `orders` again, if that is more than an hour ago or too much.
#[utoipa::path(get, path = "/api/orders/stream", operation_id = "followOrders", tag = "orders")]
pub(crate) async fn follow_orders(
    State(app): State<App>,
    User(user): User,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let _turn = app.live.turn().await;
    let follower = app.live.follow_owner(&user).await?;
    let resumed = match last_event_id(&headers) {
        Some(place) => catch_up(&app.database, &user, place, |_| true).await?,
        None => None,
    };
    let (first, mut place) = match resumed {
        Some(resumed) => resumed,
        None => present(&app.database, &user).await?,
    };
    Ok(opened(first, follower, move |news| {
        let (events, reached) = pass_on(place.clone(), news);
        place = reached;
        events
    }))
}

/// The versions of the order after one that was seen.
async fn missed(database: &Database, order: Order, seen: i32) -> Result<Vec<Order>, sqlx::Error> {
    if seen == order.version {
        return Ok(Vec::new());
    }
    let past = orders::past(database, &[order.id]).await?.remove(&order.id).unwrap_or_default();
    let before = (seen + 1..order.version).map(|version| order.as_of(version, &past)).collect::<Vec<_>>();
    Ok(before.into_iter().chain([order]).collect())
}

/// The newest orders, and what has changed by the time that they are read.
async fn present(database: &Database, owner: &UserId) -> Result<(Vec<Event>, Place), sqlx::Error> {
    let place = Place::after(changes::now(database).await?);
    let request = PageRequest::first("/api/orders");
    let listed = orders::list(database, owner, &request).await?;
    let versions: Vec<(OrderId, i32)> = listed.iter().map(|order| (order.id, order.version)).collect();
    let is_listed =
        |change: &Change| versions.iter().any(|(id, version)| *id == change.order_id && change.version <= *version);
    let page = request.page(listed, |order| page::Place { created_at: order.created_at, id: order.id.0 });
    let first = Event::default().event("orders").id(place.to_string()).data(json_of(&page));
    let later = catch_up(database, owner, place.clone(), |change| !is_listed(change)).await?;
    let (events, place) = later.unwrap_or_else(|| (Vec::new(), place));
    Ok(([first].into_iter().chain(events).collect(), place))
}

/// What `is_wanted` of the owner's changes since. `None` if that is too much, or can no longer be known.
async fn catch_up(
    database: &Database,
    owner: &UserId,
    mut place: Place,
    is_wanted: impl Fn(&Change) -> bool,
) -> Result<Option<(Vec<Event>, Place)>, sqlx::Error> {
    let mut missed = Vec::new();
    for _ in 0..MAX_PAGES_MISSED {
        let page = changes::after(database, &place.seen, changes::ROWS).await?.filter(Page::is_whole);
        let Some(page) = page else { return Ok(None) };
        let Page { begin, end, changes, is_last, .. } = page;
        let own = changes.into_iter().filter(|change| change.owner == *owner && is_wanted(change)).collect::<Vec<_>>();
        if missed.len() + own.len() > MAX_MISSED {
            return Ok(None);
        }
        let changes = changes::shown(database, own).await?.into_iter().filter_map(Told::new).collect();
        let (events, reached) = pass_on(place, &News { begin, end: end.clone(), changes });
        missed.extend(events);
        place = reached.entering(&end);
        if is_last {
            return Ok(Some((missed, place)));
        }
    }
    Ok(None)
}

/// The changes that are behind this place, and the place behind them.
fn pass_on(place: Place, news: &News) -> (Vec<Event>, Place) {
    let mut place = place.entering(&news.begin);
    let mut events = Vec::new();
    for Told { change, order } in &news.changes {
        if !place.has(change.transaction, change.number) {
            place = place.advanced(change.transaction, change.number, &news.end);
            events.push(order_event(&place, order));
        }
    }
    (events, place)
}

fn order_event(id: &impl ToString, order: &str) -> Event {
    Event::default().event("order").id(id.to_string()).data(order)
}

/// Orders and pages of them can always be written as JSON.
fn json_of(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// One that makes no sense is none: who sends it is told what is there.
fn last_event_id<T: FromStr>(headers: &HeaderMap) -> Option<T> {
    headers.get("Last-Event-ID")?.to_str().ok()?.parse().ok()
}

/// The stream: `first`, then whatever `tell` makes of the news. A heartbeat tells a client that is cut off from one to
/// whom nothing happens, and frees the place of one that has gone away.
fn opened(
    first: Vec<Event>,
    follower: Follower,
    mut tell: impl FnMut(&News) -> Vec<Event> + Send + 'static,
) -> Response {
    // Any random number would do.
    let spread = Duration::from_millis(Uuid::new_v4().as_u64_pair().0 % RETRY_SPREAD_MS);
    let first = [Event::default().retry(RETRY + spread)].into_iter().chain(first);
    let news = stream::unfold(follower, |mut follower| async move { Some((follower.next().await?, follower)) });
    let later = news.map(move |news| stream::iter(tell(&news))).flatten();
    let events = stream::iter(first).chain(later).take_until(tokio::time::sleep(MAX_AGE)).map(Ok::<_, Infallible>);
    Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("heartbeat")).into_response()
}
