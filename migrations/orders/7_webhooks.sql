-- Webhooks: whom users want to be told of changes, what is to be told, and how far that has got.

create table orders.webhooks (
    id uuid primary key,
    created_by text not null,
    url text not null,
    -- Empty for all.
    event_types text[] not null,
    -- What messages are signed with. After a rotation also with the one before, for a while.
    secret bytea not null,
    previous_secret bytea,
    previous_secret_until timestamptz,
    enabled boolean not null default true,
    -- What happened before is not told.
    told_from timestamptz not null default now(),
    -- Why it was disabled, if nobody asked for it.
    disabled_reason text,
    last_success_at timestamptz,
    created_at timestamptz not null default now(),
    -- When there is something to send next, if there is.
    due_at timestamptz,
    -- Until when a replica is sending.
    lease_until timestamptz,
    check (enabled or due_at is null)
);

create index webhooks_by_owner on orders.webhooks (created_by, created_at);
create index webhooks_enabled on orders.webhooks (created_by) where enabled;
create index webhooks_due on orders.webhooks (due_at);

create table orders.webhook_deliveries (
    -- UUIDv7.
    id uuid primary key,
    webhook_id uuid not null references orders.webhooks (id) on delete cascade,
    -- The same for all who are told of the event, each time they are told.
    message_id text not null,
    event_type text not null,
    order_id uuid not null,
    payload text not null,
    status text not null default 'pending' check (status in ('pending', 'delivered', 'failed')),
    attempts integer not null default 0,
    next_attempt_at timestamptz default now(),
    last_attempt_at timestamptz,
    response_status integer,
    error text,
    created_at timestamptz not null default now(),
    check ((status = 'pending') = (next_attempt_at is not null))
);

create index deliveries_by_webhook on orders.webhook_deliveries (webhook_id, created_at);
create index deliveries_due on orders.webhook_deliveries (webhook_id, next_attempt_at) where status = 'pending';

-- Which changes have been made into deliveries: one row.
create table orders.webhook_cursor (
    id boolean primary key default true check (id),
    -- A snapshot, as the service writes it.
    seen text not null,
    -- All transactions below this one were seen.
    seen_below bigint not null
);
