-- What statements are given, many values of a type at a time. The program of the release before sends what it was built
-- with, so a type never changes: a statement that needs more gets another type, and the old one goes a release later.

-- A payment that is to be held.
create type payments.new_payment as (
    id uuid,
    order_id uuid,
    created_by text,
    bill bigint,
    currency text,
    traceparent text
);

-- A transaction of the ledger.
create type payments.posting as (
    tx_id uuid,
    amount bigint,
    currency text
);

-- A payment as it will be if it still has the version that was expected, and what happens with that.
create type payments.change as (
    order_id uuid,
    expected_version integer,
    status text,
    cancel_requested boolean,
    attempt_id uuid,
    attempts integer,
    card_brand text,
    card_last4 text,
    card_exp_month smallint,
    card_exp_year smallint,
    decline_code text,
    attempt_outcome text,
    posting payments.posting,
    event jsonb,
    traceparent text,
    claim jsonb
);
