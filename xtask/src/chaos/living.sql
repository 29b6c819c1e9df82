-- What may still change by itself: nothing does, once every order is delivered or cancelled and everybody knows it.

select 'orders that are neither delivered nor cancelled' as what, count(*)
from orders.orders where status not in ('delivered', 'cancelled')
union all
select 'cancelled orders whose payment is open', count(*)
from orders.orders
where status = 'cancelled' and payment_status not in ('cancelled', 'refunded')
union all
select 'payments in doubt', count(*) from payments.payments where status in ('processing', 'refunding')
union all
select 'events in the outboxes', (select count(*) from orders.outbox) + (select count(*) from payments.outbox)
