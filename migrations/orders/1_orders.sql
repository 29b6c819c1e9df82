-- The orders and their history. Money is in minor units of the currency; times are the database's own clock.

create table orders.orders (
    -- UUIDv7, made by the service, so new rows go to the right edge of the index.
    id uuid primary key,
    created_by text not null,
    status text not null default 'created'
        check (status in ('created', 'confirmed', 'declined', 'cancelled', 'delivered')),
    -- What the payment events told, and the version of the payment that told it: an older one changes nothing.
    payment_status text not null default 'pending'
        check (payment_status in ('pending', 'paid', 'declined', 'cancelled', 'refunded')),
    payment_version integer not null default 0,
    bill bigint not null check (bill between 1 and 999999999999),
    currency text not null check (length(currency) = 3),
    items jsonb,
    reference text,
    -- When the delivery timer moves a confirmed order on.
    deliver_at timestamptz,
    -- When the expiry timer cancels an order that nobody paid.
    expires_at timestamptz not null,
    cancel_reason text check (cancel_reason in ('user', 'expired')),
    -- Grows by one with each change; every change names the version it was decided on.
    version integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    check (status not in ('confirmed', 'delivered') or deliver_at is not null),
    check ((status = 'cancelled') = (cancel_reason is not null))
);

-- The list of a user's orders, newest first.
create index orders_by_owner on orders.orders (created_by, id desc);
-- The delivery timer: holds only what still waits.
create index orders_to_deliver on orders.orders (deliver_at) where status = 'confirmed';
-- The expiry timer: holds only what still waits.
create index orders_to_expire on orders.orders (expires_at) where status in ('created', 'declined');

-- One row for each change after the first; an order's creation is in the order itself.
create table orders.order_events (
    order_id uuid not null references orders.orders (id),
    version integer not null,
    status text not null,
    cause text not null,
    at timestamptz not null default now(),
    primary key (order_id, version)
);
