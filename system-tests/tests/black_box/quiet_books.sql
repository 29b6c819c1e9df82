-- One order for each end that an order can come to, as the services write them, with its history: delivered, expired,
-- and cancelled after it was paid. All is long over.

insert into orders.orders (id, created_by, status, payment_status, payment_version, bill, currency, reference,
    deliver_at, expires_at, cancel_reason, version, created_at)
select format('00000000-0000-7000-8000-%s', lpad(number::text, 12, '0'))::uuid, 'alice', status, payment_status,
    payment_version, 100 * number, 'USD', 'order ' || number, case when status = 'delivered' then began + '3 s' end,
    began + '20 s', reason, version, began
from (values
    (1, 'delivered', 'paid', 3, null, 3),
    (2, 'cancelled', 'cancelled', 2, 'expired', 3),
    (3, 'cancelled', 'refunded', 5, 'user', 4)
) as placed (number, status, payment_status, payment_version, reason, version)
cross join (select timestamptz '2026-11-01T12:00:00Z' as began) as clock;

insert into orders.order_events (order_id, version, status, cause, at)
select orders.id, step.version, step.status, cause, created_at + after
from orders.orders
join (values
    (100, 2, 'confirmed', 'payment_paid', interval '1 s'),
    (100, 3, 'delivered', 'delivery_due', interval '4 s'),
    (200, 2, 'cancelled', 'expired', interval '21 s'),
    (200, 3, 'cancelled', 'payment_cancelled', interval '22 s'),
    (300, 2, 'confirmed', 'payment_paid', interval '1 s'),
    (300, 3, 'cancelled', 'cancelled_by_user', interval '2 s'),
    (300, 4, 'cancelled', 'payment_refunded', interval '3 s')
) as step (bill, version, status, cause, after) using (bill);

insert into payments.payments (id, order_id, created_by, bill, currency, status, version, attempts, attempt_id)
select gen_random_uuid(), id, created_by, bill, currency, payment_status, payment_version,
    (payment_status <> 'cancelled')::integer, case when payment_status <> 'cancelled' then gen_random_uuid() end
from orders.orders;

insert into payments.ledger (tx_id, account, amount, currency, order_id)
select gen_random_uuid(), account, side * direction * bill, currency, order_id
from payments.payments
cross join (values ('card_processor', 1), ('revenue', -1)) as entry (account, side)
cross join (values (1), (-1)) as posting (direction)
where status = 'refunded' or status = 'paid' and direction = 1;

insert into sandbox.charges (attempt_id, order_id, amount, currency, status)
select attempt_id, order_id, bill, currency, case status when 'paid' then 'approved' else status end
from payments.payments
where attempt_id is not null;
