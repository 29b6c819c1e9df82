//! What happens to the order, in the model.

use crate::model::{Next, Step, World};
use crate::words::{Answer, Event, News, OrderStatus, PaymentStatus, Reason};

impl World {
    /// The answer is the order as it is a moment later: cancelled for good, but it may hear of its payment meanwhile.
    pub fn cancel_order(&mut self) -> Next {
        match self.order.status {
            OrderStatus::Delivered => return Next::Done(Answer::problem(409, "order_not_cancellable")),
            OrderStatus::Cancelled => {}
            OrderStatus::Created | OrderStatus::Declined | OrderStatus::Confirmed => {
                self.become_cancelled(Reason::User);
            }
        }
        Next::Then(Step::ReadOrder)
    }

    pub fn expire(&mut self) -> Answer {
        if matches!(self.order.status, OrderStatus::Created | OrderStatus::Declined) {
            self.become_cancelled(Reason::Expired);
        }
        Answer::Nothing
    }

    pub fn deliver(&mut self) -> Answer {
        if self.order.status == OrderStatus::Confirmed {
            self.order.status = OrderStatus::Delivered;
        }
        Answer::Nothing
    }

    fn become_cancelled(&mut self, reason: Reason) {
        self.order.status = OrderStatus::Cancelled;
        self.order.cancel_reason = Some(reason);
        self.sent.push(Event::Cancel(reason));
    }

    /// Events that arrive together arrive one after the other.
    pub fn hear_first(&mut self, mut events: Vec<Event>) -> Next {
        if events.is_empty() {
            return Next::Done(Answer::Nothing);
        }
        match events.remove(0) {
            Event::Create => self.create_payment(),
            Event::Cancel(_) => self.cancel_payment(),
            Event::Processed(news) => self.learn(&news),
        }
        Next::Then(Step::Hear(events))
    }

    /// Only what is newer than all that was heard before counts.
    fn learn(&mut self, news: &News) {
        if news.version <= self.heard {
            return;
        }
        self.heard = news.version;
        self.order.payment_status = news.status;
        match (self.order.status, news.status) {
            (OrderStatus::Created | OrderStatus::Declined, PaymentStatus::Paid) => {
                self.order.status = OrderStatus::Confirmed;
            }
            (OrderStatus::Created, PaymentStatus::Declined) => self.order.status = OrderStatus::Declined,
            // Paid although cancelled: the money has to go back.
            (OrderStatus::Cancelled, PaymentStatus::Paid) => {
                self.sent.push(Event::Cancel(self.order.cancel_reason.expect("it was cancelled for a reason")));
            }
            _ => {}
        }
    }
}
