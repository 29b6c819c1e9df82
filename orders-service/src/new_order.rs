//! What a client sends to place an order, and the checks that make a [`NewOrder`] of it.

use serde::{Deserialize, Serialize};
use serde_json::json;
use service_kit::body::Object;
use service_kit::composite_type;
use service_kit::idempotency::Claim;
use service_kit::message::Message;
use service_kit::problem::FieldError;
use service_kit::trace_context;
use shared_events::events::PaymentCreate;
use shared_events::ids::{OrderId, UserId};
use shared_events::money::{Currency, MinorUnits};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

const MAX_ITEMS: usize = 100;
const MAX_QUANTITY: i64 = 10_000;
const MAX_SKU_CHARS: usize = 64;
const MAX_DESCRIPTION_CHARS: usize = 256;
const MAX_REFERENCE_CHARS: usize = 128;

/// An order as it is wished: with its `bill`, its `items` or both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrder {
    /// What is due, in minor units of `currency`; may be left out when there are `items`, whose sum it is.
    #[schema(minimum = 1, maximum = 999_999_999_999_i64)]
    pub bill: Option<i64>,
    /// What the bill is counted in; `USD` unless given.
    #[schema(value_type = Option<Currency>)]
    pub currency: Option<String>,
    /// What is ordered, if you want it kept.
    #[schema(value_type = Option<Vec<Item>>, min_items = 1, max_items = 100)]
    pub items: Option<Vec<Object<Item>>>,
    /// Your own name for the order.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    pub reference: Option<String>,
}

/// One line of an order. Its total is `quantity` times `unitPrice`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Item {
    /// What is ordered, in the words of the shop.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$",
        examples("TEA-EARL-GREY-100")
    )]
    pub sku: String,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    pub description: Option<String>,
    /// How many: 1 to 10 000.
    #[schema(minimum = 1, maximum = 10_000)]
    pub quantity: i64,
    /// The price of one, in minor units of the order's currency; may be 0.
    #[schema(minimum = 0, maximum = 999_999_999_999_i64)]
    pub unit_price: i64,
}

/// An order that is fit to be placed: whoever holds one need not check anything again.
#[derive(Clone, Debug, sqlx::Encode)]
pub struct NewOrder {
    /// Chosen here, so that placing it twice places it once.
    pub id: OrderId,
    created_by: UserId,
    bill: MinorUnits,
    currency: Currency,
    items: Option<Json<Vec<Object<Item>>>>,
    reference: Option<String>,
    event_id: Uuid,
    event: Json<PaymentCreate>,
    traceparent: Option<String>,
    /// What makes a repetition of the request be answered with the same order.
    pub claim: Option<Json<Claim>>,
}

composite_type!(NewOrder, "orders.new_order");

impl NewOrder {
    /// Checks everything and answers all that is wrong at once.
    pub fn new(created_by: UserId, body: CreateOrder) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let items_total = body.items.as_deref().and_then(|items| check_items(items, &mut errors));
        let bill = check_bill(body.bill, body.items.is_some(), items_total, &mut errors);
        let currency = match body.currency.as_deref().map_or(Ok(Currency::DEFAULT), Currency::try_from) {
            Ok(currency) => Some(currency),
            Err(unknown) => {
                errors.push(FieldError::new("/currency", "unknown_currency", unknown.to_string()));
                None
            }
        };
        if let Some(reference) = &body.reference {
            check_text("/reference", reference, MAX_REFERENCE_CHARS, &mut errors);
        }
        let (Some(bill), Some(currency), true) = (bill, currency, errors.is_empty()) else {
            return Err(errors);
        };
        let id = OrderId::generate();
        Ok(Self {
            id,
            created_by: created_by.clone(),
            bill,
            currency,
            items: body.items.map(Json),
            reference: body.reference,
            event_id: Uuid::now_v7(),
            event: Json(PaymentCreate { order_id: id, created_by, bill, currency }),
            traceparent: trace_context::current(),
            claim: None,
        })
    }

    /// The event that is committed with the order.
    pub fn message(&self) -> Message {
        Message::of(self.event_id, &*self.event, self.traceparent.clone())
    }

    /// All that the client asked for: what must be the same when it asks again.
    pub fn wish(&self) -> Vec<u8> {
        json!([self.bill, self.currency, self.items, self.reference]).to_string().into_bytes()
    }
}

fn check_bill(
    bill: Option<i64>,
    has_items: bool,
    items_total: Option<MinorUnits>,
    errors: &mut Vec<FieldError>,
) -> Option<MinorUnits> {
    let bill = match (bill, items_total) {
        (Some(bill), Some(total)) if bill != total.0 => {
            errors.push(FieldError::new("/bill", "sum_differs", format!("must be {total}, the sum of the items")));
            return None;
        }
        (Some(bill), _) => MinorUnits(bill),
        (None, Some(total)) => total,
        // What is wrong with the items has been said.
        (None, None) if has_items => return None,
        (None, None) => {
            errors.push(FieldError::new("/bill", "required", "is required when there are no items"));
            return None;
        }
    };
    if (MinorUnits::MIN_BILL..=MinorUnits::MAX_BILL).contains(&bill) {
        return Some(bill);
    }
    let detail = format!("must be from {} to {} minor units", MinorUnits::MIN_BILL, MinorUnits::MAX_BILL);
    errors.push(FieldError::new("/bill", "out_of_range", detail));
    None
}

/// The sum of the items, if they are all right.
fn check_items(items: &[Object<Item>], errors: &mut Vec<FieldError>) -> Option<MinorUnits> {
    let errors_before = errors.len();
    if items.is_empty() || items.len() > MAX_ITEMS {
        errors.push(FieldError::new("/items", "wrong_length", format!("must have 1 to {MAX_ITEMS} items")));
        return None;
    }
    for (index, Object(item)) in items.iter().enumerate() {
        check_text(&format!("/items/{index}/sku"), &item.sku, MAX_SKU_CHARS, errors);
        if let Some(description) = &item.description {
            check_text(&format!("/items/{index}/description"), description, MAX_DESCRIPTION_CHARS, errors);
        }
        if !(1..=MAX_QUANTITY).contains(&item.quantity) {
            let detail = format!("must be from 1 to {MAX_QUANTITY}");
            errors.push(FieldError::new(format!("/items/{index}/quantity"), "out_of_range", detail));
        }
        if !(0..=MinorUnits::MAX_BILL.0).contains(&item.unit_price) {
            let detail = format!("must be from 0 to {} minor units", MinorUnits::MAX_BILL);
            errors.push(FieldError::new(format!("/items/{index}/unitPrice"), "out_of_range", detail));
        }
    }
    if errors.len() > errors_before {
        return None;
    }
    // 100 items of at most 10^4 x 10^12 fit into 64 bits.
    Some(MinorUnits(items.iter().map(|Object(item)| item.quantity * item.unit_price).sum()))
}

fn check_text(pointer: &str, text: &str, max_chars: usize, errors: &mut Vec<FieldError>) {
    if text.is_empty() || text.chars().count() > max_chars {
        errors.push(FieldError::new(pointer, "wrong_length", format!("must have 1 to {max_chars} characters")));
    } else if text.chars().any(char::is_control) {
        errors.push(FieldError::new(pointer, "control_character", "must not contain control characters"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Numbers at every border, and those that are none of ours.
    fn any_number() -> impl Strategy<Value = Value> {
        let borders = [0, 1, -1, 10_000, 10_001, 999_999_999_999, 1_000_000_000_000, i64::MAX, i64::MIN];
        prop_oneof![
            proptest::sample::select(borders.to_vec()).prop_map(Value::from),
            (1..100_i64).prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
        ]
    }

    fn any_text() -> impl Strategy<Value = Value> {
        prop_oneof!["[a-z]{1,8}", "\\PC{0,300}", ".{0,5}", Just("USD".to_owned())].prop_map(Value::from)
    }

    fn any_item() -> impl Strategy<Value = Value> {
        (any_text(), proptest::option::of(any_text()), any_number(), any_number()).prop_map(
            |(sku, description, quantity, price)| {
                json!({"sku": sku, "description": description, "quantity": quantity, "unitPrice": price})
            },
        )
    }

    proptest! {
        #[test]
        fn any_body_is_an_order_within_all_bounds_or_is_refused_with_reasons(
            bill in proptest::option::of(any_number()),
            currency in proptest::option::of(any_text()),
            items in proptest::option::of(proptest::collection::vec(any_item(), 0..4)),
            reference in proptest::option::of(any_text()),
        ) {
            let body = json!({"bill": bill, "currency": currency, "items": items, "reference": reference});
            let Ok(body) = serde_json::from_value::<CreateOrder>(body) else { return Ok(()) };
            match NewOrder::new(UserId("u".to_owned()), body) {
                Ok(new) => {
                    prop_assert!((MinorUnits::MIN_BILL..=MinorUnits::MAX_BILL).contains(&new.bill));
                    let items = new.items.iter().flat_map(|Json(items)| items);
                    let total: i64 = items.map(|Object(item)| item.quantity * item.unit_price).sum();
                    prop_assert!(new.items.is_none() || total == new.bill.0);
                    prop_assert!(!new.wish().is_empty());
                }
                Err(errors) => {
                    prop_assert!(!errors.is_empty());
                    prop_assert!(errors.iter().all(|error| error.pointer.starts_with("#/")));
                }
            }
        }
    }
}
