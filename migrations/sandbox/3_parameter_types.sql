-- A line for the book, as its statement is given many at a time. A type never changes, since the program of the release
-- before sends what it was built with: a statement that needs more gets another type.
create type sandbox.entry as (
    attempt_id uuid,
    order_id uuid,
    amount bigint,
    currency text,
    status text,
    decline_code text,
    refund_failures_left integer
);
