-- One order for each state that a payment can be in, as the services write them. All happened an hour ago, except the
-- charge and the refund that have not been answered yet.

insert into orders.orders (id, created_by, status, payment_status, payment_version, bill, currency, deliver_at,
    expires_at, cancel_reason, created_at, updated_at)
select format('00000000-0000-7000-8000-%s', lpad(number::text, 12, '0'))::uuid, 'alice', status, payment_status,
    payment_version, 100 * number, 'USD', case when status = 'delivered' then now() end, now() + interval '1 day',
    case when status = 'cancelled' then 'user' end, now() - interval '1 hour', now() - interval '1 hour'
from (values
    (1, 'created', 'pending', 0),
    (2, 'declined', 'declined', 3),
    (3, 'delivered', 'paid', 7),
    (4, 'cancelled', 'cancelled', 2),
    (5, 'cancelled', 'refunded', 5),
    (6, 'created', 'pending', 0),
    (7, 'cancelled', 'paid', 3)
) as placed (number, status, payment_status, payment_version);

insert into payments.payments (id, order_id, created_by, bill, currency, status, version, attempts, attempt_id,
    settle_at, created_at, updated_at)
select gen_random_uuid(), orders.id, created_by, bill, currency, held.status, held.version, held.attempts,
    case when attempts > 0 then gen_random_uuid() end,
    case when held.status = 'refunding' then now() end, created_at,
    case when held.status in ('processing', 'refunding') then now() else updated_at end
from orders.orders
join (values
    (1, 'pending', 1, 0),
    (2, 'declined', 3, 1),
    (3, 'paid', 7, 3),
    (4, 'cancelled', 2, 0),
    (5, 'refunded', 5, 1),
    (6, 'processing', 2, 1),
    (7, 'refunding', 4, 1)
) as held (number, status, version, attempts) on orders.bill = 100 * held.number;

-- The card of the paid order was asked three times.
insert into payments.attempts (id, order_id, number, outcome, card_brand, card_last4, card_exp_month, card_exp_year,
    settle_at)
select case when tried.number = attempts then attempt_id else gen_random_uuid() end, order_id, tried.number,
    tried.outcome, 'visa', '4242', 12, 2030, case tried.outcome when 'started' then now() end
from payments.payments
join (values
    ('declined', 1, 'declined'),
    ('paid', 1, 'voided'),
    ('paid', 2, 'declined'),
    ('paid', 3, 'approved'),
    ('refunded', 1, 'approved'),
    ('processing', 1, 'started'),
    ('refunding', 1, 'approved')
) as tried (status, number, outcome) using (status);

insert into payments.ledger (tx_id, account, amount, currency, order_id)
select tx_id, account, side * amount, currency, order_id
from (
    select attempt_id as tx_id, bill as amount, currency, order_id
    from payments.payments where status in ('paid', 'refunding', 'refunded')
    union all
    select gen_random_uuid(), -bill, currency, order_id from payments.payments where status = 'refunded'
) as posting
cross join (values ('card_processor', 1), ('revenue', -1)) as entry (account, side);

insert into sandbox.charges (attempt_id, order_id, amount, currency, status)
select attempts.id, order_id, bill, currency, case when status = 'refunded' then status else outcome end
from payments.attempts
join payments.payments using (order_id)
where outcome <> 'started';
