-- Roles and schemas: what a superuser sets up once per database, before either service starts.
-- Run it again at any time; it changes nothing that is already there.
-- The passwords are demo values: `alter role … password '…'` before real use.

do $$
declare
    service record;
begin
    for service in
        select * from (values
            ('orders_service', 'orders-demo-password'),
            ('payments_service', 'payments-demo-password'),
            ('sandbox_processor', 'sandbox-demo-password')
        ) as t (role_name, demo_password)
    loop
        if not exists (select from pg_roles where rolname = service.role_name) then
            begin
                execute format('create role %I login password %L', service.role_name, service.demo_password);
            exception
                -- Somebody else who sets up another database of the same server was quicker.
                when duplicate_object or unique_violation then null;
            end;
        end if;
    end loop;
end
$$;

-- Each role owns its schema and sees no other.
create schema if not exists orders authorization orders_service;
create schema if not exists payments authorization payments_service;
-- The card processor's own book: a third party's in real life, so not even the payments service can read it.
create schema if not exists sandbox authorization sandbox_processor;
