-- What the sandbox may do with the rows: a charge is never deleted, and its amount never changed.

revoke all on sandbox.charges from sandbox_processor;

grant select, insert, update (status, refund_failures_left, updated_at) on sandbox.charges to sandbox_processor;
-- To tell whether the schema is up to date.
grant select on sandbox._sqlx_migrations to sandbox_processor;
