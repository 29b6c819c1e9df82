-- To begin a charge and to end it change nothing of its payment that is in an index any more: if the page has room for what
-- is changed, no index gets a new entry. Half of it is enough for all payments of a page to change at the same time.
do $$
declare
    place regclass;
begin
    for place in
        select pg_class.oid
        from pg_class
        left join pg_inherits on inhrelid = pg_class.oid
        -- Where the tables are partitioned, each partition keeps its own; the whole has no pages.
        where coalesce(inhparent, pg_class.oid) = 'payments.payments'::regclass and relkind = 'r'
    loop
        execute format('alter table %s set (fillfactor = 50)', place);
    end loop;
end
$$;
