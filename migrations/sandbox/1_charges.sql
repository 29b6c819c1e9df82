-- The sandbox card processor's own book. Only the processor reads or writes it.
create table sandbox.charges (
    -- The merchant's idempotency key: one charge for each, however often it is asked.
    attempt_id uuid primary key,
    order_id uuid not null,
    amount bigint not null,
    currency text not null,
    -- 'voided' before any charge is a tombstone: a charge that comes later is refused.
    status text not null check (status in ('approved', 'declined', 'voided', 'refunded')),
    decline_code text,
    -- How many refunds of this charge fail before one succeeds (a sandbox card asks for it).
    refund_failures_left integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
