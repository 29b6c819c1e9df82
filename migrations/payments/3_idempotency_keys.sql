-- Attempts to pay that were made with an Idempotency-Key, and what was answered.
create table payments.idempotency_keys (
    -- A keyed digest of the user, the order and the key; the key itself is not kept.
    scope bytea primary key,
    -- A keyed digest of the card and the key.
    fingerprint bytea not null,
    attempt_id uuid not null unique references payments.attempts (id) on delete cascade,
    -- The first request with the key: its answer may name it.
    request_id text,
    -- The payment as it was answered; null while the first request is running.
    answer jsonb,
    created_at timestamptz not null default now()
);

-- To forget the oldest.
create index idempotency_keys_by_age on payments.idempotency_keys (created_at);
