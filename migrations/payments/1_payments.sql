-- The payments, their attempts and the ledger. Money is in minor units of the currency; times are the database's clock.

create table payments.payments (
    -- UUIDv7, made by the service.
    id uuid primary key,
    -- One payment for each order: what makes a repeated payment-create-event harmless.
    order_id uuid not null unique,
    -- These three are unknown while a cancel has overtaken its create: the row is then a tombstone.
    created_by text,
    bill bigint check (bill between 1 and 999999999999),
    currency text check (length(currency) = 3),
    status text not null
        check (status in ('pending', 'processing', 'paid', 'declined', 'cancelled', 'refunding', 'refunded')),
    -- A cancel arrived while the card was being charged; the answer of the processor decides what it leads to.
    cancel_requested boolean not null default false,
    -- The attempt that is running or was the last, what it used and how it ended.
    attempt_id uuid,
    attempts integer not null default 0,
    card_brand text,
    card_last4 text check (card_last4 ~ '^[0-9]{4}$'),
    card_exp_month smallint check (card_exp_month between 1 and 12),
    card_exp_year smallint,
    decline_code text,
    -- When the settlement worker looks at a charge or refund that has not been answered.
    settle_at timestamptz,
    -- Grows by one with each change; every change names the version it was decided on.
    version integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    check (created_by is not null and bill is not null and currency is not null or status = 'cancelled'),
    check (status not in ('processing', 'paid', 'refunding', 'refunded') or attempt_id is not null),
    check ((status in ('processing', 'refunding')) = (settle_at is not null))
);

-- The list of a user's payments, newest first.
create index payments_by_owner on payments.payments (created_by, id desc);
-- The settlement worker: holds only what is in doubt.
create index payments_to_settle on payments.payments (settle_at) where settle_at is not null;

-- Every time a card was tried. Its id is the idempotency key at the card processor.
create table payments.attempts (
    id uuid primary key,
    order_id uuid not null references payments.payments (order_id),
    number integer not null,
    -- 'started' until the processor's answer is known; 'voided' when it never charged.
    outcome text not null default 'started' check (outcome in ('started', 'approved', 'declined', 'voided')),
    decline_code text,
    card_brand text not null,
    card_last4 text not null check (card_last4 ~ '^[0-9]{4}$'),
    card_exp_month smallint not null check (card_exp_month between 1 and 12),
    card_exp_year smallint not null,
    started_at timestamptz not null default now(),
    settled_at timestamptz,
    unique (order_id, number)
);

-- A second approved charge of one order cannot be recorded.
create unique index one_approved_attempt on payments.attempts (order_id) where outcome = 'approved';

-- Double entry, append-only: the amounts of one transaction sum to zero.
create table payments.ledger (
    -- The attempt of a charge; derived from it for its refund. So a replay cannot post twice.
    tx_id uuid not null,
    account text not null check (account in ('card_processor', 'revenue')),
    amount bigint not null check (amount <> 0),
    currency text not null,
    order_id uuid not null,
    posted_at timestamptz not null default now(),
    primary key (tx_id, account)
);

create index ledger_by_order on payments.ledger (order_id);
