-- Orders that were closed long ago, with their history, moved here by `cargo xtask retire` in the same transaction as their
-- payments. As documents, so that they need not be changed with the tables they come from. The service does not see them.
create table orders.archived_orders (
    id uuid primary key,
    -- The row of orders.orders.
    document jsonb not null,
    -- The rows of orders.order_events.
    events jsonb not null,
    archived_at timestamptz not null default now()
);
