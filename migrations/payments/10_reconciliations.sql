-- What the comparisons of all books have found, kept here because the ledger is.
create table payments.reconciliations (
    id bigint generated always as identity primary key,
    differences integer not null check (differences >= 0),
    -- How many there were of each kind of thing, and the balances of the ledger's accounts.
    compared jsonb not null,
    balances jsonb not null,
    finished_at timestamptz not null default now()
);
grant select, insert on payments.reconciliations to payments_service;
