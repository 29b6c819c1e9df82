-- In a transaction of its own: it reads both tables, and nobody waits for it.
alter table payments.attempts validate constraint only_what_has_started_is_settled;
alter table payments.payments validate constraint refunds_are_settled;
