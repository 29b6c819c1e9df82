-- Drops the partitions of past months of which nothing is left, of orders and payments with what belongs to them; nothing,
-- if the tables are not partitioned. The ledger keeps its months. What has been dropped is in `retire.dropped`.
--
-- To look whether a month is empty holds up nobody. To drop it takes all of its schema's tables for a moment.

do $$
declare
    month record;
    part text;
    has_some boolean;
begin
    perform set_config('lock_timeout', '2s', false), set_config('retire.dropped', '', false);
    for month in
        select place, parts, right(relname, 8) as suffix
        from (values
            -- What others refer to comes last.
            ('orders', array['order_events', 'orders']), ('payments', array['attempts', 'payments'])
        ) as known (place, parts)
        join pg_inherits on inhparent = to_regclass(place || '.' || place)
        join pg_class on pg_class.oid = inhrelid
        where relname ~ '_[0-9]{4}_[0-9]{2}$'
            -- Clocks differ.
            and to_date(right(relname, 7), 'YYYY_MM') + interval '1 month 1 day' < now() at time zone 'UTC'
        order by relname
    loop
        -- The second look is the one that counts: nothing can come in between then.
        for look in 1..2 loop
            has_some := false;
            foreach part in array month.parts loop
                execute format('select $1 or exists (select from %I.%I)', month.place, part || month.suffix)
                    into has_some using has_some;
            end loop;
            exit when has_some or look = 2;
            -- In the order in which the service takes them.
            execute format('lock table %I.%I, %1$I.%I in access exclusive mode', month.place, month.parts[2], month.parts[1]);
        end loop;
        if not has_some then
            foreach part in array month.parts loop
                execute format('drop table %I.%I', month.place, part || month.suffix);
                perform set_config('retire.dropped', current_setting('retire.dropped') || ' ' || part || month.suffix, false);
            end loop;
        end if;
        commit;
    end loop;
end
$$;
