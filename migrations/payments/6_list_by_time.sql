-- Lists are sorted and filtered by the database's own time; the id decides only between payments of one batch. Ascending, so
-- that the new rows of a user go to the end of their part of the index.
create index payments_by_owner_and_time on payments.payments (created_by, created_at, id);
drop index payments.payments_by_owner;
