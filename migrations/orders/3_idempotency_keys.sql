-- Orders that were placed with an Idempotency-Key. The answer to a repetition is made of the order, as it was placed.
create table orders.idempotency_keys (
    -- A keyed digest of the user, the route and the key; the key itself is not kept.
    scope bytea primary key,
    -- A keyed digest of the body.
    fingerprint bytea not null,
    order_id uuid not null references orders.orders (id) on delete cascade,
    created_at timestamptz not null default now()
);

-- To forget the oldest.
create index idempotency_keys_by_age on orders.idempotency_keys (created_at);
