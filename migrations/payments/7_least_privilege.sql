-- What the service may do with the rows, to the column: it cannot change or delete what is posted, nor delete a payment or
-- an attempt. A login that owns the schema, as before the owner was a role of its own, keeps its power over the tables.

revoke all on payments.payments, payments.attempts, payments.ledger, payments.outbox, payments.parked,
    payments.idempotency_keys from payments_service;

grant select, insert,
    -- These are learned late when a cancel has overtaken its create.
    update (id, created_by, bill, currency,
        status, cancel_requested, attempt_id, attempts, card_brand, card_last4, card_exp_month, card_exp_year, decline_code,
        settle_at, version, updated_at)
    on payments.payments to payments_service;
grant select, insert, update (outcome, decline_code, settled_at) on payments.attempts to payments_service;
grant select, insert on payments.ledger to payments_service;
grant select, insert, update (next_attempt_at), delete on payments.outbox to payments_service;
grant select, insert, delete on payments.parked to payments_service;
-- To lock rows takes the right to change one column.
grant select, insert, update (answer), delete on payments.idempotency_keys to payments_service;
-- To tell whether the schema is up to date.
grant select on payments._sqlx_migrations to payments_service;
