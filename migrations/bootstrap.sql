-- Roles and schemas: what a superuser sets up once per database, before either service starts.
-- Run it again at any time; it changes nothing that is already there, but for a schema that a service still owns itself and
-- the settings of the database and the logins.
-- The passwords are demo values: `alter role … password '…'` before real use.

-- Two roles for each schema. The owner brings it up to date (`orders-service migrate`) and is not logged in otherwise; the
-- service can do with the rows what the migrations grant it, and nothing to the tables.
do $$
declare
    login record;
begin
    for login in
        select * from (values
            ('orders_owner', 'orders-owner-demo-password'),
            ('orders_service', 'orders-demo-password'),
            ('payments_owner', 'payments-owner-demo-password'),
            ('payments_service', 'payments-demo-password'),
            ('sandbox_owner', 'sandbox-owner-demo-password'),
            ('sandbox_processor', 'sandbox-demo-password')
        ) as t (role_name, demo_password)
    loop
        if not exists (select from pg_roles where rolname = login.role_name) then
            begin
                execute format('create role %I login password %L', login.role_name, login.demo_password);
            exception
                -- Somebody else who sets up another database of the same server was quicker.
                when duplicate_object or unique_violation then null;
            end;
        end if;
    end loop;
end
$$;

do $$
declare
    place record;
begin
    -- Nobody else is let in, and nobody makes temporary tables.
    execute format('revoke all on database %I from public', current_database());
    for place in
        select * from (values
            ('orders', 'orders_owner', 'orders_service'),
            ('payments', 'payments_owner', 'payments_service'),
            -- The card processor's own book: a third party's in real life, so not even the payments service can read it.
            ('sandbox', 'sandbox_owner', 'sandbox_processor')
        ) as t (schema_name, owner, service)
    loop
        execute format('grant connect on database %I to %I, %I', current_database(), place.owner, place.service);
        execute format('create schema if not exists %I authorization %I', place.schema_name, place.owner);
        if exists (select from pg_namespace where nspname = place.schema_name and nspowner = place.service::regrole) then
            -- What runs now goes on; the migrations then take away what is too much.
            execute format('reassign owned by %I to %I', place.service, place.owner);
            execute format('grant all on all tables in schema %I to %I', place.schema_name, place.service);
        end if;
        execute format('grant usage on schema %I to %I', place.schema_name, place.service);
    end loop;
end
$$;

-- Statistics from 3,000 rows of a table instead of 30,000: its autovacuum gathers them anew whenever a table has grown by a
-- tenth, and the services' statements are planned by index whatever they say.
do $$
begin
    execute format('alter database %I set default_statistics_target = 10', current_database());
end
$$;

-- What the services ask of each connection (`service_kit::pool`), for those that a pooler opens, which passes nothing on.
do $$
declare
    setting record;
begin
    for setting in
        select * from
            unnest(array['orders_service', 'payments_service', 'sandbox_processor']) as login,
            (values
                ('statement_timeout', '8s'),
                ('lock_timeout', '2s'),
                ('enable_seqscan', 'off'),
                ('enable_bitmapscan', 'off'),
                ('enable_hashjoin', 'off'),
                ('enable_mergejoin', 'off'),
                ('jit', 'off'),
                ('plan_cache_mode', 'force_generic_plan')
            ) as t (name, value)
    loop
        execute format(
            'alter role %I in database %I set %I = %L', setting.login, current_database(), setting.name, setting.value
        );
    end loop;
end
$$;
