//! The routes of the orders.

use axum::Router;
use axum::extract::State;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use service_kit::answer::{check_if_match, data, etag, unless_known};
use service_kit::auth::User;
use service_kit::body::Body;
use service_kit::crash_point::crash_point;
use service_kit::http::PathId;
use service_kit::idempotency::{IdempotencyKey, key_reused, replayed};
use service_kit::page::{Page, PageRequest, Place};
use service_kit::problem::Problem;
use service_kit::trace_context;
use shared_events::events::CancelReason;
use shared_events::ids::{OrderId, UserId};
use sqlx::types::Json;
use tracing::info;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::new_order::{CreateOrder, NewOrder};
use crate::order::{Change, Order, OrderStatus};
use crate::placing::Placed;
use crate::problems::{order_not_cancellable, order_not_found};
use crate::{App, orders, streams, webhooks};

/// Everything below `/api/orders` and `/api/webhooks`.
pub fn routes(app: App) -> Router {
    described_routes().with_state(app).into()
}

/// The same with what [`crate::openapi`] starts from: a route cannot be added without it.
pub(crate) fn described_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_orders, create_order))
        .routes(routes!(streams::follow_orders))
        .routes(routes!(find_order, cancel_order))
        .routes(routes!(streams::follow_order))
        .routes(routes!(list_order_events))
        .merge(webhooks::routes::described_routes())
}

/// Place an order
///
/// It is then to be paid at `/api/payments/pay/{orderId}`, and is cancelled when nobody does in time.
#[utoipa::path(post, path = "/api/orders", operation_id = "createOrder", tag = "orders")]
async fn create_order(
    State(app): State<App>,
    User(user): User,
    key: Option<IdempotencyKey>,
    Body(body): Body<CreateOrder>,
) -> Result<Response, Problem> {
    let mut new = NewOrder::new(user.clone(), body).map_err(|errors| Problem::validation_failed(&errors))?;
    new.claim = key.map(|key| app.claims.claim(key, &user, "POST /api/orders", &[&new.wish()])).map(Json);
    let placed = app.placing.submit_or_refuse(new).await?;
    match placed.ok_or_else(Problem::internal)? {
        Placed::Now(order) => {
            info!(order.id = %order.id, "an order was placed");
            crash_point("order placed, client not answered");
            Ok(created(&order))
        }
        Placed::Before(order) => {
            info!(order.id = %order.id, "an order that was placed before was asked for again");
            Ok(replayed(created(&order.as_placed())))
        }
        Placed::KeyReused => Err(key_reused()),
    }
}

fn created(order: &Order) -> Response {
    let headers = [(LOCATION, format!("/api/orders/{}", order.id)), (ETAG, etag(order.version))];
    (StatusCode::CREATED, headers, data(order)).into_response()
}

/// List your orders
///
/// The newest first.
#[utoipa::path(get, path = "/api/orders", operation_id = "listOrders", tag = "orders")]
async fn list_orders(
    State(app): State<App>,
    User(user): User,
    page: PageRequest<OrderStatus>,
) -> Result<Page<Order>, Problem> {
    let orders = orders::list(&app.database, &user, &page).await?;
    Ok(page.page(orders, |order| Place { created_at: order.created_at, id: order.id.0 }))
}

/// Read an order
///
/// With what is known of its payment.
#[utoipa::path(get, path = "/api/orders/{id}", operation_id = "findOrder", tag = "orders")]
async fn find_order(
    State(app): State<App>,
    User(user): User,
    id: PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order = find(&app, id, &user).await?;
    Ok(unless_known(&headers, order.version, data(&order)))
}

/// Cancel an order
///
/// Possible until it is delivered; what was paid goes back. Cancelling it again answers the same.
#[utoipa::path(delete, path = "/api/orders/{id}", operation_id = "cancelOrder", tag = "orders")]
async fn cancel_order(
    State(app): State<App>,
    User(user): User,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    loop {
        let order = find(&app, PathId(id), &user).await?;
        check_if_match(&headers, order.version)?;
        let Some(change) = order.cancel(CancelReason::User).map_err(|_| order_not_cancellable())? else {
            let replicated = orders::find_replicated(&app.database, &[order.id]).await?.remove(&order.id);
            match replicated.filter(|order| matches!(order.cancel(CancelReason::User), Ok(None))) {
                Some(order) => return Ok(shown(&order)),
                // It was cancelled on a server only that is no longer asked.
                None => continue,
            }
        };
        let change = Change { traceparent: trace_context::current(), ..change };
        if let Some(order) = app.changing.submit_or_refuse(change).await? {
            info!(order.id = %order.id, "an order was cancelled by its owner");
            crash_point("order cancelled, client not answered");
            return Ok(shown(&order));
        }
        // Something else changed the order meanwhile: look again and decide anew.
    }
}

fn shown(order: &Order) -> Response {
    ([(ETAG, etag(order.version))], data(order)).into_response()
}

/// Read the history of an order
///
/// The oldest first.
#[utoipa::path(get, path = "/api/orders/{id}/events", operation_id = "listOrderEvents", tag = "orders")]
async fn list_order_events(State(app): State<App>, User(user): User, id: PathId) -> Result<Response, Problem> {
    let order = find(&app, id, &user).await?;
    let history = orders::history(&app.database, &order).await?;
    Ok(data(history).into_response())
}

async fn find(app: &App, PathId(id): PathId, user: &UserId) -> Result<Order, Problem> {
    app.finding.find(OrderId(id.ok_or_else(order_not_found)?), user).await
}
