//! The routes of the payments.

use axum::Router;
use axum::extract::State;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use service_kit::answer::{data, etag, unless_known};
use service_kit::auth::User;
use service_kit::body::Body;
use service_kit::http::PathId;
use service_kit::idempotency::{Claim, IdempotencyKey, replayed};
use service_kit::page::{PageRequest, Place};
use service_kit::problem::Problem;
use shared_events::ids::{OrderId, UserId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::card::{Card, PayWithCard};
use crate::pay::{Paid, pay};
use crate::payment::{Payment, PaymentStatus};
use crate::problems::{card_declined, payment_cancelled, payment_not_found};
use crate::shown::ShownPayment;
use crate::{App, payments};

/// Everything below `/api/payments`.
pub fn routes(app: App) -> Router {
    described_routes().with_state(app).into()
}

/// The same with what [`crate::openapi`] starts from: a route cannot be added without it.
pub(crate) fn described_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_payments)).routes(routes!(find_payment)).routes(routes!(pay_order))
}

/// List your payments
///
/// The newest first.
#[utoipa::path(get, path = "/api/payments", operation_id = "listPayments", tag = "payments")]
async fn list_payments(
    State(app): State<App>,
    User(user): User,
    page: PageRequest<PaymentStatus>,
) -> Result<Response, Problem> {
    let payments = payments::list(&app.database, &user, &page).await?;
    let page = page.page(payments, |payment| Place { created_at: payment.created_at, id: payment.id.0 });
    Ok(page.map(ShownPayment::from).into_response())
}

/// Read the payment of an order
///
/// The payment of an order that was placed a moment ago is waited for.
#[utoipa::path(get, path = "/api/payments/{orderId}", operation_id = "findPayment", tag = "payments")]
async fn find_payment(
    State(app): State<App>,
    User(user): User,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order_id = OrderId(id.ok_or_else(payment_not_found)?);
    let payment = app.finding.find_soon(&user, order_id).await?.ok_or_else(payment_not_found)?;
    Ok(unless_known(&headers, payment.version, data(ShownPayment::from(&payment))))
}

/// Pay an order with a card
///
/// A card that was declined charges nothing, and another may be tried. 202 means that the card processor has not said yet
/// whether the card was charged: `Location` tells, once it is known.
#[utoipa::path(post, path = "/api/payments/pay/{orderId}", operation_id = "payOrder", tag = "payments")]
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
    (status, etag, data(ShownPayment::from(payment))).into_response()
}
