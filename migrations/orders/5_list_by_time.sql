-- Lists are sorted and filtered by the database's own time; the id decides only between orders of one batch. Ascending, so
-- that the new rows of a user go to the end of their part of the index.
create index orders_by_owner_and_time on orders.orders (created_by, created_at, id);
drop index orders.orders_by_owner;
