//! The routes of the payments.

use axum::extract::State;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use service_kit::auth::User;
use service_kit::body::Body;
use service_kit::http::{PathId, etag, unless_known};
use service_kit::idempotency::{Claim, IdempotencyKey, replayed};
use service_kit::page::{Page, PageRequest, Place};
use service_kit::problem::Problem;
use shared_events::ids::{OrderId, UserId};

use crate::card::{Card, PayWithCard};
use crate::pay::{Paid, find_soon, pay};
use crate::payment::{Payment, PaymentStatus};
use crate::problems::{card_declined, payment_cancelled, payment_not_found};
use crate::{App, payments};

/// Everything below `/api/payments`.
pub fn routes(app: App) -> Router {
    Router::new()
        .route("/api/payments", get(list_payments))
        .route("/api/payments/{orderId}", get(find_payment))
        .route("/api/payments/pay/{orderId}", post(pay_order))
        .with_state(app)
}

async fn list_payments(
    State(app): State<App>,
    User(user): User,
    page: PageRequest<PaymentStatus>,
) -> Result<Page<Value>, Problem> {
    let payments = payments::list(&app.database, &user, &page).await?;
    Ok(page.page(payments, |payment| Place { created_at: payment.created_at, id: payment.id.0 }).map(show))
}

async fn find_payment(
    State(app): State<App>,
    User(user): User,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order_id = OrderId(id.ok_or_else(payment_not_found)?);
    let payment = find_soon(&app, &user, order_id).await?.ok_or_else(payment_not_found)?;
    Ok(unless_known(&headers, payment.version, Json(json!({"data": show(&payment)}))))
}

async fn pay_order(
    State(app): State<App>,
    User(user): User,
    PathId(id): PathId,
    key: Option<IdempotencyKey>,
    Body(body): Body<PayWithCard>,
) -> Result<Response, Problem> {
    let order_id = OrderId(id.ok_or_else(payment_not_found)?);
    let card = body.into_card().map_err(|errors| Problem::validation_failed(&errors))?;
    let claim = key.map(|key| claim(&app, key, &user, order_id, &card));
    match pay(&app, &user, order_id, card, claim.as_ref()).await? {
        Paid::Now(payment) => paid(&payment),
        Paid::Before { payment, request_id } => {
            Ok(replayed(paid(&payment).map_err(|problem| problem.of_request(request_id))))
        }
    }
}

/// Two pays are the same when they are for the same order with the same card, however it is written.
fn claim(app: &App, key: IdempotencyKey, user: &UserId, order_id: OrderId, card: &Card) -> Claim {
    let route = format!("POST /api/payments/pay/{order_id}");
    let (number, code) = (card.number.digits(), card.security_code.digits());
    let (year, month) = (card.expiry.year.to_be_bytes(), card.expiry.month.to_be_bytes());
    app.claims.claim(key, user, &route, &[number.as_bytes(), code.as_bytes(), &year, &month])
}

/// How a pay that led to this payment is answered.
fn paid(payment: &Payment) -> Result<Response, Problem> {
    match payment.status {
        PaymentStatus::Paid => Ok(answer(StatusCode::OK, payment)),
        PaymentStatus::Declined => Err(card_declined(payment.decline_code.as_deref())),
        PaymentStatus::Cancelled | PaymentStatus::Refunding | PaymentStatus::Refunded => Err(payment_cancelled()),
        // Nobody knows yet; the settlement finds out.
        PaymentStatus::Processing => {
            let location = [(LOCATION, format!("/api/payments/{}", payment.order_id))];
            Ok((location, answer(StatusCode::ACCEPTED, payment)).into_response())
        }
        // The settlement was quicker and has voided the attempt.
        PaymentStatus::Pending => Err(Problem::unavailable()),
    }
}

fn answer(status: StatusCode, payment: &Payment) -> Response {
    let etag = [(ETAG, etag(payment.version))];
    (status, etag, Json(json!({"data": show(payment)}))).into_response()
}

fn show(payment: &Payment) -> Value {
    let card = payment.card_last4.as_ref().map(|last4| {
        json!({
            "brand": payment.card_brand,
            "last4": last4,
            "expMonth": payment.card_exp_month,
            "expYear": payment.card_exp_year,
        })
    });
    json!({
        "id": payment.id,
        "orderId": payment.order_id,
        "status": payment.status,
        "processed": payment.status.is_processed(),
        "bill": payment.bill,
        "currency": payment.currency,
        "card": card,
        "attempts": payment.attempts,
        "declineCode": payment.decline_code,
        "createdBy": payment.created_by,
        "version": payment.version,
        "createdAt": payment.created_at,
        "updatedAt": payment.updated_at,
    })
}
