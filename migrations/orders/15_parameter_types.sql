-- What statements are given, many values of a type at a time. The program of the release before sends what it was built
-- with, so a type never changes: a statement that needs more gets another type, and the old one goes a release later.

-- An order that is to be placed, its event and the claim of its key.
create type orders.new_order as (
    id uuid,
    created_by text,
    bill bigint,
    currency text,
    items jsonb,
    reference text,
    event_id uuid,
    event jsonb,
    traceparent text,
    claim jsonb
);

-- An order as it will be if it still has the version that was expected, and what happens with that.
create type orders.change as (
    order_id uuid,
    expected_version integer,
    status text,
    payment_status text,
    payment_version integer,
    cancel_reason text,
    cause text,
    event jsonb,
    traceparent text
);

-- What a webhook is to be told.
create type orders.new_delivery as (
    id uuid,
    webhook_id uuid,
    message_id text,
    event_type text,
    order_id uuid,
    payload text
);
