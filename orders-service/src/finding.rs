//! Finding orders for clients, many at a time: one statement for all that look at the same moment.

use std::sync::Arc;

use service_kit::batcher::Batcher;
use service_kit::database::batched;
use service_kit::metrics::Metrics;
use service_kit::pool::Database;
use service_kit::problem::Problem;
use shared_events::ids::{OrderId, UserId};

use crate::order::Order;
use crate::orders;
use crate::problems::order_not_found;

const BATCH: usize = 256;

/// Where orders are looked up by their ids.
#[derive(Clone)]
pub struct Finding(Batcher<OrderId, Result<Option<Order>, Problem>>);

impl Finding {
    /// Starts looking orders up.
    pub fn start(database: Database, metrics: &Metrics) -> Self {
        Self(batched(BATCH, metrics.batch_sizes("finding"), move |ids: Arc<[OrderId]>| {
            let database = database.clone();
            async move {
                let orders = orders::find_many(&database, &ids).await?;
                Ok(ids.iter().map(|id| orders.get(id).cloned()).collect())
            }
        }))
    }

    /// The order, if it is this user's.
    pub async fn find(&self, id: OrderId, owner: &UserId) -> Result<Order, Problem> {
        let order = self.0.submit_or_refuse(id).await?;
        order.filter(|order| order.created_by == *owner).ok_or_else(order_not_found)
    }
}
