-- What placing one order costs PostgreSQL at least: the columns and indexes of an order and of its event, one statement
-- and one commit, prepared. Keys go up, as those of the service do.
with placed as (
    insert into limits.orders (id, created_by, bill, currency, items, reference, expires_at)
    values (
        lpad(to_hex(nextval('limits.keys')), 32, '0')::uuid, 'somerandomuserid', 62243, 'USD', null, null,
        now() + make_interval(secs => 86400)
    )
    returning id, created_by, bill, currency
)
insert into limits.outbox (id, event, order_id, data)
select lpad(to_hex(nextval('limits.keys')), 32, '0')::uuid, 'payment-create-event', id,
    jsonb_build_object('orderId', id, 'createdBy', created_by, 'bill', bill, 'currency', currency)
from placed;
