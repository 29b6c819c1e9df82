-- What has changed, for those who follow it: a row for each statement that placed or changed orders, however many.
create table orders.changes (
    -- The transaction that made the changes. Transactions end in another order than they get their numbers in, so where
    -- somebody has got to is a snapshot, never a number. Not unique: in a restored database the numbers begin anew.
    transaction_id bigint not null default (pg_current_xact_id()::text::bigint),
    -- As long as each other.
    order_ids uuid[] not null,
    versions integer[] not null,
    owners text[] not null,
    at timestamptz not null default now()
)
-- Rows live for an hour: vacuum by count, not by share of the table.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

create index changes_by_transaction on orders.changes (transaction_id);

-- Identifiers do not get smaller by compression.
alter table orders.changes
    alter column order_ids set storage external,
    alter column versions set storage external,
    alter column owners set storage external;

-- So that an order can be shown as it was. Entries that were made before this do not tell.
alter table orders.order_events add column deliver_at timestamptz;
