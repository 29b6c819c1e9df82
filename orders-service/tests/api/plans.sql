-- Fills every table with a row for each order of `n`, or with more, unless it is there already.
with placed as (
    insert into orders.orders (id, created_by, status, bill, currency, deliver_at, expires_at)
    select id, 'user ' || n % 100, (array['created', 'confirmed', 'delivered'])[n % 3 + 1], n, 'EUR', now(), now()
    from n
    on conflict do nothing
), remembered as (
    insert into orders.order_events (order_id, version, status, cause)
    select id, 1, 'confirmed', 'payment_paid' from n
    on conflict do nothing
), followed as (
    insert into orders.changes (transaction_id, order_ids, versions, owners)
    select n, array[id], array[1], array['user ' || n % 100] from n
), hooked as (
    insert into orders.webhooks (id, created_by, url, event_types, secret, due_at)
    select id, 'user ' || n % 100, 'https://shop.example', '{}', '', now() from n
    on conflict do nothing
), delivered as (
    insert into orders.webhook_deliveries (id, webhook_id, message_id, event_type, order_id, payload)
    select id, id, '', 'order.created', id, '{}' from n
    on conflict do nothing
), claimed as (
    insert into orders.idempotency_keys (scope, fingerprint, order_id)
    select id::text::bytea, '', id from n
    on conflict do nothing
), announced as (
    insert into orders.outbox (id, event, order_id, data)
    select id, 'payment-create-event', id, '{}' from n
    on conflict do nothing
)
insert into orders.parked (queue, body, reason)
select 'a queue', '', 'a reason' from n
