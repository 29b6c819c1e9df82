-- Turns the tables of one schema (`partitions.schema`) into partitioned ones, by the time in the order's id; nothing, if
-- they are so already. As the owner of the schema. One transaction, and no row is read or moved: what is there becomes
-- the partition for everything that is outside of all months, which `service-kit/src/partitions.sql` makes afterwards.
--
-- A part of a key that has no order in it cannot hold over all partitions, and holds in each: an attempt, its number and
-- what is posted for it have the order with them, and so are always in the partition of the order.

do $$
declare
    place constant text := current_setting('partitions.schema');
    parent record;
    step text;
begin
    perform set_config('lock_timeout', '2s', true);
    if (select relkind from pg_class where oid = (place || '.' || place)::regclass) = 'p' then
        return;
    end if;

    -- In the order in which the service takes them. A key is stored together with what it is for; it cannot refer to
    -- something in one of several tables.
    if place = 'orders' then
        lock table orders.idempotency_keys, orders.orders, orders.order_events in access exclusive mode;
        alter table orders.idempotency_keys drop constraint idempotency_keys_order_id_fkey;
    else
        lock table payments.payments, payments.attempts, payments.idempotency_keys, payments.ledger
            in access exclusive mode;
        alter table payments.idempotency_keys drop constraint idempotency_keys_attempt_id_fkey;
    end if;

    for parent in
        select *, format('%I.%I', place, name) as full_name, format('%I.%I', place, name || '_default') as rest
        from (values
            -- What `on conflict` relies on has to be a key of the whole.
            ('orders', 'orders', 'id', 'primary key (id)'),
            ('orders', 'order_events', 'order_id', 'primary key (order_id, version)'),
            ('payments', 'payments', 'order_id', 'unique (order_id)'),
            ('payments', 'attempts', 'order_id', 'unique (order_id, number)'),
            ('payments', 'ledger', 'order_id', null)
        ) as known (schema_name, name, key, guard)
        where schema_name = place
    loop
        execute format('alter table %s rename to %I', parent.full_name, parent.name || '_default');
        execute format(
            'create table %s (like %s including defaults including constraints including storage) partition by range (%I)',
            parent.full_name, parent.rest, parent.key
        );
        if parent.guard is not null then
            execute format('alter table %s add %s', parent.full_name, parent.guard);
        end if;
        -- The indexes that are there already are taken for those of the whole.
        execute format('alter table %s attach partition %s default', parent.full_name, parent.rest);

        for step in
            -- Triggers of statements are those of the table that the statement names.
            select replace(pg_get_triggerdef(oid), ' ON ' || parent.rest || ' ', ' ON ' || parent.full_name || ' ')
            from pg_trigger
            where tgrelid = parent.rest::regclass and not tgisinternal
            union all
            -- So are rights, and nobody needs any to a single partition.
            select format('grant %s on %s to %s', privilege_type, parent.full_name, grantee::regrole)
            from pg_class, aclexplode(relacl)
            where pg_class.oid = parent.rest::regclass and grantee <> relowner
            union all
            select format('grant %s (%I) on %s to %s', privilege_type, attname, parent.full_name, grantee::regrole)
            from pg_attribute, aclexplode(attacl)
            where attrelid = parent.rest::regclass
            union all
            select format('revoke all on %s from %s', parent.rest, place || '_service')
        loop
            execute step;
        end loop;
    end loop;
end
$$;
