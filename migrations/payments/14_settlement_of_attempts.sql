-- When the settlement looks at a charge is to be kept with its attempt, so that to begin and end a charge changes nothing of
-- its payment that is in an index. From this release on it looks there, too; the next one keeps it there. When it looks at
-- a refund stays with the payment.
alter table payments.attempts
    add column settle_at timestamptz,
    add constraint only_what_has_started_is_settled check (outcome = 'started' or settle_at is null) not valid;
create index attempts_to_settle on payments.attempts (settle_at) where settle_at is not null;
grant update (settle_at) on payments.attempts to payments_service;

-- What was demanded until now demands this of all that is there.
alter table payments.payments add constraint refunds_are_settled
    check (case status when 'refunding' then settle_at is not null when 'processing' then true else settle_at is null end)
    not valid;

do $$
declare
    place regclass;
begin
    -- Where the tables are partitioned, each partition keeps its own. The whole comes first, which lets go of theirs.
    for place in
        select 'payments.payments'::regclass
        union all
        select inhrelid from pg_inherits where inhparent = 'payments.payments'::regclass
    loop
        execute format('alter table %s drop constraint if exists payments_check2', place);
    end loop;
end
$$;
