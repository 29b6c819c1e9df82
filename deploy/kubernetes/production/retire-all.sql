-- What `cargo xtask retire` does, for psql alone: looks at every order there is, `retire.batch` at a time, each time in a
-- transaction of its own, then at the months that are past. May be ended at any moment.
\set ON_ERROR_STOP on
\cd /retire/statements
\set statement `cat retire.sql`
select set_config('retire.statement', :'statement', false) \g /dev/null

-- Otherwise keys of every single order would be looked for without an index; that there are none is known already.
set session_replication_role = replica;

do $$
declare
    batch json;
    looked_at bigint := 0;
    retired bigint := 0;
begin
    -- Before the first order there can be.
    perform set_config('retire.after', '00000000-0000-0000-0000-000000000000', false);
    loop
        execute current_setting('retire.statement') into strict batch;
        commit;
        looked_at := looked_at + (batch ->> 'looked_at')::bigint;
        retired := retired + (batch ->> 'retired')::bigint;
        exit when (batch ->> 'looked_at')::bigint < current_setting('retire.batch')::bigint;
        perform set_config('retire.after', batch ->> 'last', false), pg_sleep(0.1);
    end loop;
    raise notice '% of % orders are retired', retired, looked_at;
end
$$;

\i retire_months.sql
select current_setting('retire.dropped') as "dropped, since empty";
