-- Events that were committed with the state they speak of and are not yet confirmed by the broker.
create table payments.outbox (
    -- The event's id, a UUIDv7: the same each time it is sent.
    id uuid primary key,
    event text not null,
    order_id uuid not null,
    data jsonb not null,
    traceparent text,
    created_at timestamptz not null default now(),
    -- The relay that wrote the row sends it at once; the sweeper leaves it alone until then.
    next_attempt_at timestamptz not null default now() + interval '2 seconds'
)
-- A queue's rows die young: vacuum by count, not by share of the table.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

-- Messages that could not be applied, kept for a person to look at.
create table payments.parked (
    id bigint generated always as identity primary key,
    queue text not null,
    message_id text,
    body bytea not null,
    reason text not null,
    parked_at timestamptz not null default now()
);
