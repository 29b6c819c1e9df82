-- Fills every table with a row for each order of `n`, or with more, unless it is there already.
with held as (
    insert into payments.payments (id, order_id, created_by, bill, currency, status, attempt_id, settle_at)
    select id, id, 'user ' || n % 100, n, 'EUR', (array['pending', 'processing', 'refunding'])[n % 3 + 1], id,
        case n % 3 when 2 then now() end
    from n
    on conflict do nothing
), attempted as (
    insert into payments.attempts
        (id, order_id, number, outcome, card_brand, card_last4, card_exp_month, card_exp_year, settle_at)
    select id, id, 1, case n % 3 when 1 then 'started' else 'approved' end, 'visa', '4242', 12, 2030,
        case n % 3 when 1 then now() end
    from n
    on conflict do nothing
), posted as (
    insert into payments.ledger (tx_id, account, amount, currency, order_id)
    select id, account, amount, 'EUR', id
    from n
    cross join (values ('card_processor', 1), ('revenue', -1)) as entry (account, amount)
    on conflict do nothing
), claimed as (
    insert into payments.idempotency_keys (scope, fingerprint, attempt_id)
    select id::text::bytea, '', id from n
    on conflict do nothing
), announced as (
    insert into payments.outbox (id, event, order_id, data)
    select id, 'payment-processed-event', id, '{}' from n
    on conflict do nothing
), charged as (
    insert into sandbox.charges (attempt_id, order_id, amount, currency, status)
    select id, id, n, 'EUR', 'approved' from n
    on conflict do nothing
)
insert into payments.parked (queue, body, reason)
select 'a queue', '', 'a reason' from n
