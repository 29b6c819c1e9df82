-- The payments of orders that were closed long ago, with their attempts, moved here by `cargo xtask retire` in the same
-- transaction as the orders. What is posted stays in the ledger. The service does not see them.
create table payments.archived_payments (
    order_id uuid primary key,
    -- The row of payments.payments.
    document jsonb not null,
    -- The rows of payments.attempts.
    attempts jsonb not null,
    archived_at timestamptz not null default now()
);
