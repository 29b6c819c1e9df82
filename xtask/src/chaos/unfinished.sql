-- What is still on its way, by kind. A second is given to what is due at any moment.

select 'orders past their delivery or expiry' as what, count(*)
from orders.orders
where status = 'confirmed' and deliver_at < now() - interval '1 second'
    or status in ('created', 'declined') and expires_at < now() - interval '1 second'
union all
select 'payments in doubt', count(*) from payments.payments where status in ('processing', 'refunding')
union all
select 'old events in the outbox of orders', count(*)
from orders.outbox where created_at < now() - interval '1 second'
union all
select 'old events in the outbox of payments', count(*)
from payments.outbox where created_at < now() - interval '1 second'
