//! What the orders service does, around its own decisions.

use orders_service::order::{Change, OrderStatus};
use shared_events::events::{CancelReason, PaymentProcessed};
use shared_events::ids::{OrderId, PaymentId};
use shared_events::money::Currency;
use uuid::Uuid;

use crate::mail::{Asked, Mail, Told};
use crate::rows::{BILL, OrderRow};
use crate::rules::Rules;
use crate::saga::{Pace, Saga};

/// What the orders service decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderDecision {
    Cancel,
    Expire,
    Deliver,
    Learn(Told),
}

impl OrderDecision {
    /// By the service's own functions.
    fn on(self, read: OrderRow, rules: &Rules) -> Option<Change> {
        let order = read.read();
        match self {
            Self::Cancel => (rules.cancel_order)(&order, CancelReason::User).ok().flatten(),
            Self::Expire => (rules.expire)(&order),
            Self::Deliver => (rules.deliver)(&order),
            Self::Learn(told) => (rules.learn)(&order, &told.event()),
        }
    }
}

impl Told {
    fn event(self) -> PaymentProcessed {
        PaymentProcessed {
            order_id: OrderId(Uuid::nil()),
            payment_id: PaymentId(Uuid::nil()),
            status: self.status,
            version: self.version,
            bill: BILL,
            currency: Currency::DEFAULT,
            decline_code: None,
        }
    }
}

impl Saga {
    /// `placing::place`: the order and its create are committed together.
    pub fn place(&mut self, rules: &Rules) -> Option<()> {
        if self.order.is_some() {
            return None;
        }
        self.order = Some(OrderRow::PLACED);
        self.asked.push(Mail { event: Asked::Create, way: (rules.commit)() });
        Some(())
    }

    /// `orders::due_for_delivery` finds it once its time has come.
    pub fn deliver_if_due(&mut self, pace: Pace, rules: &Rules) -> Option<()> {
        let is_due = self.order.is_some_and(|order| order.status == OrderStatus::Confirmed && order.has_deliver_at);
        is_due.then(|| self.decide_order(OrderDecision::Deliver, pace, rules)).flatten()
    }

    /// `payment_events::on_payment_processed`: acknowledged when there is nothing left to commit.
    pub fn learn_what_was_told(&mut self, index: usize, pace: Pace, rules: &Rules) -> Option<()> {
        let Mail { event, way } = *self.told.get(index).filter(|mail| mail.way.in_network)?;
        if self.has_learned(event, rules) {
            self.told[index].way = (rules.acknowledge)(way);
            return Some(());
        }
        self.decide_order(OrderDecision::Learn(event), pace, rules)
    }

    /// Whether the event is no news.
    pub fn has_learned(&self, event: Told, rules: &Rules) -> bool {
        self.order.is_some_and(|order| OrderDecision::Learn(event).on(order, rules).is_none())
    }

    /// Reads, decides, and stores now or later; `None` when there is nothing to do.
    pub fn decide_order(&mut self, decision: OrderDecision, pace: Pace, rules: &Rules) -> Option<()> {
        let read = self.order?;
        match pace {
            Pace::AtOnce => self.store_order(read, decision, rules),
            Pace::Held if self.orders_memory.held.is_none() => {
                decision.on(read, rules)?;
                self.orders_memory.held = Some((read, decision));
                Some(())
            }
            Pace::Held => None,
        }
    }

    /// `orders::apply`: the row and its event, if the row is still the one that was read.
    pub fn store_order(&mut self, read: OrderRow, decision: OrderDecision, rules: &Rules) -> Option<()> {
        let change = decision.on(read, rules)?;
        let stored = self.order.as_mut().filter(|stored| (rules.is_current)(change.expected_version, stored.version));
        if let Some(order) = stored {
            *order = order.update(&change);
            self.asked
                .extend(change.event.map(|event| Mail { event: Asked::Cancel(event.reason), way: (rules.commit)() }));
        }
        Some(())
    }
}
