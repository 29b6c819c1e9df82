//! Finding payments for clients, many at a time: one statement for all that look at the same moment.
//!
//! A client that is quick looks several times until its new order's payment is there ([`crate::pay::find_soon`]).

use std::sync::Arc;

use service_kit::batcher::Batcher;
use service_kit::database::batched;
use service_kit::pool::Database;
use service_kit::problem::Problem;
use shared_events::ids::OrderId;

use crate::payment::Payment;
use crate::payments;

const BATCH: usize = 128;

/// Where payments are looked up by their orders.
pub type Finding = Batcher<OrderId, Result<Option<Payment>, Problem>>;

/// Starts looking payments up.
pub fn start(database: Database) -> Finding {
    batched(BATCH, move |orders: Arc<[OrderId]>| {
        let database = database.clone();
        async move {
            let payments = payments::find_many(&database, &orders).await?;
            Ok(orders.iter().map(|order| payments.get(order).cloned()).collect())
        }
    })
}
