-- The parked message that was replayed and still could not be applied: this row has taken its place.
alter table payments.parked add column replay_of bigint;
