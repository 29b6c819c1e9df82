-- What the service may do with the rows, to the column: it cannot change what a client was promised, nor delete an order.
-- A login that owns the schema, as before the owner was a role of its own, keeps its power over the tables.

revoke all on orders.orders, orders.order_events, orders.outbox, orders.parked, orders.idempotency_keys,
    orders.changes, orders.webhooks, orders.webhook_deliveries, orders.webhook_cursor from orders_service;

grant select, insert,
    update (status, payment_status, payment_version, deliver_at, cancel_reason, version, updated_at)
    on orders.orders to orders_service;
grant select, insert on orders.order_events to orders_service;
grant select, insert, update (next_attempt_at), delete on orders.outbox to orders_service;
grant select, insert, delete on orders.parked, orders.changes to orders_service;
grant select, insert, update, delete on orders.webhooks, orders.webhook_deliveries to orders_service;
grant select, insert, update on orders.webhook_cursor to orders_service;
-- To lock rows takes the right to change one column.
grant select, insert, update (created_at), delete on orders.idempotency_keys to orders_service;
-- To tell whether the schema is up to date.
grant select on orders._sqlx_migrations to orders_service;
