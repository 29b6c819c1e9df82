-- What must hold when everything is at rest: each row an invariant, what it was looked for in, and what breaks it.
--
-- Settings: chaos.healed_at is when the last fault was over and everything ran again, chaos.delivery_delay and
-- chaos.unpaid_expiry are those of the services.

with setting as (
    select current_setting('chaos.healed_at')::timestamptz as healed_at,
        current_setting('chaos.delivery_delay')::interval as delivery_delay,
        current_setting('chaos.unpaid_expiry')::interval as unpaid_expiry
), charge as (
    select order_id, count(*) as times, count(*) filter (where status = 'approved') as kept, sum(amount) as amount
    from sandbox.charges
    where status in ('approved', 'refunded')
    group by order_id
), step as materialized (
    select order_id, version, status, at, cause,
        lag(status, 1, 'created') over history as before, lag(version, 1, 1) over history as version_before
    from orders.order_events
    window history as (partition by order_id order by version)
), edge (before, status) as (
    values ('created', 'confirmed'), ('created', 'declined'), ('created', 'cancelled'), ('declined', 'confirmed'),
        ('declined', 'cancelled'), ('confirmed', 'delivered'), ('confirmed', 'cancelled'),
        -- News of the payment that do not move the order.
        ('declined', 'declined'), ('cancelled', 'cancelled')
), broken as (
    select 'orders and payments pair one to one, with equal bill and owner' as invariant,
        coalesce(o.id, p.order_id)::text as what
    from orders.orders o
    full join payments.payments p on p.order_id = o.id
    where (o.bill, o.currency, o.created_by) is distinct from (p.bill, p.currency, p.created_by) or o.id is null
        or p.id is null

    union all
    select 'every order is charged at most once', order_id || ': ' || times from charge where times > 1

    union all
    select 'charged and not refunded exactly when delivered, and with the bill',
        concat(o.id, ': ', o.status, ', charges kept: ', coalesce(kept, 0), ', of ', amount)
    from orders.orders o
    left join charge on charge.order_id = o.id
    where coalesce(kept, 0) <> (o.status in ('confirmed', 'delivered'))::integer or amount <> times * o.bill

    union all
    select 'cancelled orders keep no money', concat(o.id, ': payment ', p.status, ', order says ', o.payment_status)
    from orders.orders o
    join payments.payments p on p.order_id = o.id
    where o.status = 'cancelled' and (p.status <> o.payment_status or p.status not in ('cancelled', 'refunded'))

    union all
    select 'the history goes along allowed edges and leaves no final state',
        concat(order_id, ': ', before, ' -> ', status)
    from step
    where not exists (select from edge where (edge.before, edge.status) = (step.before, step.status))

    union all
    select 'versions go up one by one, and the last is the order''s', concat(order_id, ': version ', version)
    from step
    where version <> version_before + 1
    union all
    select 'versions go up one by one, and the last is the order''s', o.id::text
    from orders.orders o
    left join lateral (
        select version, status from step where order_id = o.id order by version desc limit 1
    ) last on true
    where (o.version, o.status) <> (coalesce(last.version, 1), coalesce(last.status, 'created'))

    union all
    select 'none is delivered early', concat(o.id, ': due ', o.deliver_at, ', delivered ', delivered.at)
    from orders.orders o
    join step delivered on delivered.order_id = o.id and delivered.status = 'delivered'
    join step confirmed on confirmed.order_id = o.id and (confirmed.before, confirmed.status) <> ('confirmed', 'delivered')
        and confirmed.status = 'confirmed'
    cross join setting
    where delivered.at < o.deliver_at or delivered.at < confirmed.at + setting.delivery_delay

    union all
    select 'none is delivered more than 2 s late once all is well',
        concat(o.id, ': due ', o.deliver_at, ', delivered ', delivered.at, ', all well at ', setting.healed_at)
    from orders.orders o
    join step delivered on delivered.order_id = o.id and delivered.status = 'delivered'
    cross join setting
    where delivered.at > greatest(o.deliver_at, setting.healed_at) + interval '2 seconds'

    union all
    select 'none expires early', concat(o.id, ': due ', o.expires_at, ', cancelled ', expired.at)
    from orders.orders o
    join step expired on expired.order_id = o.id and expired.cause = 'expired'
    cross join setting
    where expired.at < o.expires_at or o.expires_at <> o.created_at + setting.unpaid_expiry

    union all
    select 'the ledger sums to zero, and its revenue to what was delivered', sum(amount)::text
    from payments.ledger
    having sum(amount) <> 0 or -sum(amount) filter (where account = 'revenue')
        <> (select coalesce(sum(bill), 0) from orders.orders where status in ('confirmed', 'delivered'))

    union all
    select 'nothing is parked', concat('orders: ', queue, ': ', reason) from orders.parked
    union all
    select 'nothing is parked', concat('payments: ', queue, ': ', reason) from payments.parked

    union all
    select 'the outboxes are empty', concat('orders: ', event, ' of ', order_id) from orders.outbox
    union all
    select 'the outboxes are empty', concat('payments: ', event, ' of ', order_id) from payments.outbox

    union all
    select 'nothing is left on its way', concat('order ', id, ' is ', status)
    from orders.orders where status not in ('delivered', 'cancelled')
    union all
    select 'nothing is left on its way', concat('payment of ', order_id, ' is ', status)
    from payments.payments where status in ('processing', 'refunding')
), looked_at as (
    select 1 as place, 'orders and payments pair one to one, with equal bill and owner' as invariant,
        (select count(*) from orders.orders) as rows
    union all
    select 2, 'every order is charged at most once', (select count(*) from charge)
    union all
    select 3, 'charged and not refunded exactly when delivered, and with the bill',
        (select count(*) from orders.orders)
    union all
    select 4, 'cancelled orders keep no money', (select count(*) from orders.orders where status = 'cancelled')
    union all
    select 5, 'the history goes along allowed edges and leaves no final state', (select count(*) from step)
    union all
    select 6, 'versions go up one by one, and the last is the order''s', (select count(*) from step)
    union all
    select 7, 'none is delivered early', (select count(*) from step where status = 'delivered')
    union all
    select 8, 'none is delivered more than 2 s late once all is well',
        (select count(*) from step, setting where status = 'delivered' and at > healed_at)
    union all
    select 9, 'none expires early', (select count(*) from step where cause = 'expired')
    union all
    select 10, 'the ledger sums to zero, and its revenue to what was delivered', (select count(*) from payments.ledger)
    union all
    select 11, 'nothing is parked', (select count(*) from orders.orders)
    union all
    select 12, 'the outboxes are empty', (select count(*) from orders.orders)
    union all
    select 13, 'nothing is left on its way', (select count(*) from orders.orders)
)
select looked_at.invariant, looked_at.rows, count(what) as broken,
    coalesce((array_agg(what order by what) filter (where what is not null))[1:5], '{}') as examples
from looked_at
left join broken using (invariant)
group by place, looked_at.invariant, rows
order by place;
