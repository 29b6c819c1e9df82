-- The ledger guards itself against mistakes: what is posted stays, and only what is in balance is posted. The owner of
-- the schema could drop the guards, so they are none against malice.

create function payments.refuse_change_of_ledger() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is append-only: no % of what is posted', lower(tg_op)
        using errcode = 'integrity_constraint_violation', hint = 'Post a transaction that reverses it.';
end
$$;

create trigger ledger_is_append_only
    before update or delete or truncate on payments.ledger
    for each statement execute function payments.refuse_change_of_ledger();

-- The entries of a transaction are inserted by one statement, and so looked at together.
create function payments.refuse_imbalance() returns trigger language plpgsql as $$
declare
    wrong record;
begin
    select tx_id, currency, count(*) as entries, sum(amount) as total
    into wrong
    from posted
    group by tx_id, currency
    having count(*) <> 2 or sum(amount) <> 0
    limit 1;
    if found then
        raise exception 'the ledger takes two entries that sum to zero: transaction % has % in %, with a sum of %',
            wrong.tx_id, wrong.entries, wrong.currency, wrong.total
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end
$$;

create trigger ledger_is_in_balance
    after insert on payments.ledger
    referencing new table as posted
    for each statement execute function payments.refuse_imbalance();
