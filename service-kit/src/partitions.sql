-- Makes the partitions of the coming months of one schema (`partitions.schema`), if its tables are partitioned. As the
-- owner of the schema, as often as one likes, while the system works.
--
-- A month is made before it begins. What has no month of its own, because nobody made it in time or because the id tells no
-- time, is in the partition for all the rest, and stays there: a month of which something is there already is not made.
-- For that, all the rest is read once for each month, but not under a lock: a constraint says first that it has nothing of
-- the month, so that to attach the month takes a moment.

do $$
declare
    place constant text := current_setting('partitions.schema');
    -- What others refer to comes first; the service takes its locks in this order too.
    parents constant text[] := case place
        when 'orders' then array['orders', 'order_events'] else array['payments', 'attempts', 'ledger']
    end;
    today constant timestamp := now() at time zone 'UTC';
    -- Clocks differ, so not a month that begins within a day. On empty tables any may be the first.
    month timestamp := coalesce(
        nullif(current_setting('partitions.first', true), '')::date,
        date_trunc('month', today + interval '1 day') + interval '1 month'
    );
    suffix text;
    bounds uuid[];
    key text;
    parent text;
    rest text;
    mine text;
    has_some boolean;
    step text;
begin
    if (select relkind from pg_class where oid = (place || '.' || place)::regclass) <> 'p' then
        return;
    end if;
    perform set_config('lock_timeout', '2s', false);
    for month in
        select generate_series(month, date_trunc('month', today) + interval '2 months', interval '1 month')
    loop
        suffix := to_char(month, '_YYYY_MM');
        continue when to_regclass(format('%I.%I', place, place || suffix)) is not null;
        -- The first 48 bits of an order's id are milliseconds since 1970 (UUIDv7).
        bounds := array(
            select rpad(lpad(to_hex((extract(epoch from bound at time zone 'UTC') * 1000)::bigint), 12, '0'), 32, '0')::uuid
            from unnest(array[month, month + interval '1 month']) as bound
        );

        has_some := false;
        foreach parent in array parents loop
            key := case parent when 'orders' then 'id' else 'order_id' end;
            execute format('select $1 or exists (select from %I.%I where %I >= $2 and %3$I < $3)', place, parent, key)
                into has_some using has_some, bounds[1], bounds[2];
        end loop;
        if has_some then
            raise warning 'something of % is there already, so there will be no partition for it in %', suffix, place;
            continue;
        end if;

        foreach parent in array parents loop
            key := case parent when 'orders' then 'id' else 'order_id' end;
            rest := format('%I.%I', place, parent || '_default');
            if not exists (select from pg_constraint where conrelid = rest::regclass and conname = 'outside' || suffix) then
                execute format(
                    'alter table %s add constraint %I check (%I < %L or %3$I >= %L) not valid',
                    rest, 'outside' || suffix, key, bounds[1], bounds[2]
                );
            end if;
            commit;
            execute format('alter table %s validate constraint %I', rest, 'outside' || suffix);
            commit;
        end loop;

        foreach parent in array parents loop
            rest := format('%I.%I', place, parent || '_default');
            mine := format('%I.%I', place, parent || suffix);
            select concat(format('create table %s (like %s including all)', mine, rest),
                    ' with (' || array_to_string(reloptions, ', ') || ')')
                into step from pg_class where oid = rest::regclass;
            execute step;
            execute format('alter table %s drop constraint %I', mine, 'outside' || suffix);
            for step in
                select replace(format('alter table %s add %s', mine, pg_get_constraintdef(oid)), '_default(', suffix || '(')
                from pg_constraint
                where conrelid = rest::regclass and contype = 'f'
                union all
                select replace(pg_get_triggerdef(oid), ' ON ' || rest || ' ', ' ON ' || mine || ' ')
                from pg_trigger
                where tgrelid = rest::regclass and not tgisinternal
            loop
                execute step;
            end loop;
            execute format(
                'alter table %I.%I attach partition %s for values from (%L) to (%L)', place, parent, mine, bounds[1], bounds[2]
            );
            execute format('alter table %s drop constraint %I', rest, 'outside' || suffix);
        end loop;
        commit;
    end loop;
end
$$;
