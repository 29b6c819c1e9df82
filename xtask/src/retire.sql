-- Moves closed orders with their payments to the archive, of those that come next after an id. One statement: both services'
-- books change at one moment, and nothing is in two places or in none.
--
-- An order is closed when nothing can happen to it any more: it is delivered and paid, or cancelled with its payment
-- cancelled or refunded; both services know that; no event of it is on its way; and nobody can ask again with a key.
-- It costs by the number of orders that are looked at (`retire.batch`), however many there are: they are looked up by
-- arrays, which can only be looked up; joined, they are compared with every order there is. Where tables are partitioned,
-- months are left out for the bounds of the batch, which are repeated for that, and not for an array.

with setting as (
    select now() - current_setting('retire.closed_for')::interval as closed_before,
        current_setting('retire.batch')::integer as batch,
        -- Keys are made with what they are for: what is older than the oldest of them has none.
        coalesce((select min(created_at) from orders.idempotency_keys), 'infinity') as oldest_order_key,
        coalesce((select min(created_at) from payments.idempotency_keys), 'infinity') as oldest_payment_key
), looked_at as (
    select id from orders.orders
    where id > current_setting('retire.after')::uuid
    order by id
    limit (select batch from setting)
), bounds as (
    select current_setting('retire.after')::uuid as before_first, (select id from looked_at order by id desc limit 1) as last
), on_its_way as (
    select order_id from orders.outbox where order_id = any(array(select id from looked_at))
    union select order_id from payments.outbox where order_id = any(array(select id from looked_at))
), closed as (
    select o.id
    from orders.orders o
    join payments.payments p on p.order_id = o.id
    cross join setting
    where p.order_id = any(array(select id from looked_at))
        and p.order_id > (select before_first from bounds) and p.order_id <= (select last from bounds)
        and greatest(o.updated_at, p.updated_at) < closed_before
        and o.created_at < oldest_order_key and p.updated_at < oldest_payment_key
        and (o.status, p.status) in (('delivered', 'paid'), ('cancelled', 'cancelled'), ('cancelled', 'refunded'))
        and (o.payment_status, o.payment_version) = (p.status, p.version)
        and o.id <> all(array(select order_id from on_its_way))
    for update of o, p skip locked
), history as (
    delete from orders.order_events
    where order_id = any(array(select id from closed))
        and order_id > (select before_first from bounds) and order_id <= (select last from bounds)
    returning *
), gone_orders as (
    delete from orders.orders
    where id = any(array(select id from closed))
        and id > (select before_first from bounds) and id <= (select last from bounds)
    returning *
), tried as (
    delete from payments.attempts
    where order_id = any(array(select id from closed))
        and order_id > (select before_first from bounds) and order_id <= (select last from bounds)
    returning *
), gone_payments as (
    delete from payments.payments
    where order_id = any(array(select id from closed))
        and order_id > (select before_first from bounds) and order_id <= (select last from bounds)
    returning *
), kept_orders as (
    insert into orders.archived_orders (id, document, events)
    select id, to_jsonb(gone_orders), coalesce(story, '[]')
    from gone_orders
    left join (
        select order_id, jsonb_agg(history order by version) as story from history group by order_id
    ) as told on told.order_id = id
), kept_payments as (
    insert into payments.archived_payments (order_id, document, attempts)
    select order_id, to_jsonb(gone_payments), coalesce(tries, '[]')
    from gone_payments
    left join (
        select order_id, jsonb_agg(tried order by number) as tries from tried group by order_id
    ) as told using (order_id)
)
select json_build_object('looked_at', (select count(*) from looked_at), 'retired', (select count(*) from closed),
    'last', (select last from bounds));
