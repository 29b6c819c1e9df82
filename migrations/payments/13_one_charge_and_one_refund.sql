-- An order is charged once at most, and refunded once: what the ledger's accounts take for it has either sign once. This
-- takes the place of the index that said so of attempts, and of the two that found what is posted for an order, or twice;
-- each of them cost every charge. It reads the whole ledger: to have that done while customers pay, create it
-- `concurrently` before.
create unique index if not exists one_charge_and_one_refund on payments.ledger (order_id, account, (amount > 0));

do $$
declare
    old record;
begin
    for old in
        select indrelid::regclass as place, indexrelid::regclass as index, conname
        from pg_index
        left join pg_constraint on conindid = indexrelid and contype = 'p'
        -- Where the tables are partitioned, each partition has its own.
        left join pg_inherits on inhrelid = indrelid
        where coalesce(inhparent, indrelid) = 'payments.ledger'::regclass and indexprs is null
            or coalesce(inhparent, indrelid) = 'payments.attempts'::regclass and indpred is not null
    loop
        if old.conname is null then
            execute format('drop index %s', old.index);
        else
            execute format('alter table %s drop constraint %I', old.place, old.conname);
        end if;
    end loop;
end
$$;
