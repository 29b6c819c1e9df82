-- Compares the orders, the payments, the ledger and the card processor's book with each other.
--
-- One statement, and so one snapshot of all schemas. Its rows are the 'balance' of each account of the ledger, how much
-- was 'compared', and every 'difference'.
--
-- What a service writes with one statement agrees at any moment, and so does what is always written after something
-- else was read. What an event has yet to carry over is in flight while the last change is younger than the grace
-- period, by the database's clock: `set reconcile.grace = '10s'`. A finding that may be in flight says `since` when.

with setting as (
    select coalesce(nullif(current_setting('reconcile.grace', true), ''), '10s')::interval as grace
), every_order as not materialized (
    -- What was retired has to agree as well.
    select * from orders.orders union all
    select (jsonb_populate_record(null::orders.orders, document)).* from orders.archived_orders
), every_payment as not materialized (
    select * from payments.payments union all
    select (jsonb_populate_record(null::payments.payments, document)).* from payments.archived_payments
), every_attempt as not materialized (
    select * from payments.attempts union all
    select attempt.*
    from payments.archived_payments
    cross join lateral jsonb_populate_recordset(null::payments.attempts, attempts) as attempt
), tried as (
    select order_id, array_agg(number order by number) as numbers, bool_or(outcome = 'declined') as was_declined
    from every_attempt
    group by order_id
), posting as not materialized (
    -- A transaction as the card processor's account has it; what is out of balance is found by itself.
    select tx_id, order_id, amount, currency from payments.ledger where account = 'card_processor'
), finding as (
    -- Every order has a payment, of the same owner, for the same bill.
    select 'order_without_payment' as kind, o.id as order_id, 'a payment' as expected, 'none' as found,
        o.created_at as since
    from every_order o
    left join every_payment p on p.order_id = o.id
    where p.order_id is null

    union all
    -- A tombstone is a payment whose cancel has overtaken its create, so that it has no owner yet.
    select 'payment_without_order', p.order_id, 'an order',
        case when p.created_by is null then 'a tombstone' else 'a payment that is ' || p.status end,
        case when p.created_by is null then p.updated_at end
    from every_payment p
    left join every_order o on o.id = p.order_id
    where o.id is null

    union all
    select 'terms_differ', o.id, concat_ws(' ', o.bill, o.currency, 'from', o.created_by),
        coalesce(p.bill || ' ' || p.currency || ' from ' || p.created_by, 'a tombstone'),
        case when p.created_by is null then p.updated_at end
    from every_order o
    join every_payment p on p.order_id = o.id
    where (o.bill, o.currency, o.created_by) is distinct from (p.bill, p.currency, p.created_by)

    union all
    -- The states of an order follow from what it was told of its payment, except that it may be cancelled at any time.
    select 'order_contradicts_itself', o.id, told.expected || ', since the order is ' || o.status, o.payment_status,
        null
    from every_order o
    join (values ('created', 'pending'), ('declined', 'declined'), ('confirmed', 'paid'), ('delivered', 'paid'))
        as told (status, expected) using (status)
    where o.payment_status <> told.expected

    union all
    -- An order was told the last news of its payment. That a payment can be charged (again) is no news.
    select 'payment_status_differs', o.id, concat_ws(' ', news.status, 'in version ' || news.version),
        concat_ws(' ', o.payment_status, 'in version', o.payment_version), p.updated_at
    from every_order o
    join every_payment p on p.order_id = o.id
    left join tried on tried.order_id = o.id
    cross join lateral (
        select p.status, p.version where p.status in ('paid', 'declined', 'cancelled', 'refunded')
        union all
        select case when tried.was_declined then 'declined' else 'pending' end, null
        where p.status in ('pending', 'processing')
    ) news
    where p.created_by is not null
        and (o.payment_status <> news.status or o.payment_version <> news.version)

    union all
    -- The payment of a cancelled order is closed or gives its money back, and no other does.
    select 'cancelled_on_one_side', o.id,
        case when o.status = 'cancelled' then 'a cancelled payment' else 'a cancelled order' end,
        concat('order ', o.status, ', payment ', p.status),
        case when o.status = 'cancelled' then greatest(o.updated_at, p.updated_at) end
    from every_order o
    join every_payment p on p.order_id = o.id
    where (o.status = 'cancelled') <> (p.status in ('cancelled', 'refunding', 'refunded') or p.cancel_requested)

    union all
    select 'attempts_miscounted', p.order_id, counted.numbers::text, coalesce(tried.numbers, '{}')::text, null
    from every_payment p
    left join tried using (order_id)
    cross join lateral (select array(select generate_series(1, p.attempts)) as numbers) as counted
    where coalesce(tried.numbers, '{}') <> counted.numbers

    union all
    -- The last attempt says what the payment is; those before have charged nothing.
    select 'attempt_contradicts_payment', p.order_id,
        case
            when a.number < p.attempts then 'declined or voided, since there is a later one'
            when a.id is distinct from p.attempt_id then 'the attempt that the payment names'
            else concat(array_to_string(last.outcomes, ' or '), ', since the payment is ', p.status)
        end,
        concat_ws(' ', 'attempt', a.number, coalesce(a.outcome, 'none')), null
    from every_payment p
    left join every_attempt a using (order_id)
    join (values
        ('pending', array['none', 'voided']), ('processing', array['started']),
        ('paid', array['approved']), ('declined', array['declined']),
        ('cancelled', array['none', 'voided', 'declined']),
        ('refunding', array['approved']), ('refunded', array['approved'])
    ) as last (status, outcomes) on last.status = p.status
    where case
        when a.number < p.attempts then a.outcome not in ('declined', 'voided')
        else coalesce(a.outcome, 'none') <> all (last.outcomes) or a.id is distinct from p.attempt_id
    end

    union all
    -- So each currency sums to zero as well.
    select 'unbalanced_transaction', (array_agg(order_id))[1], 'two entries of one order and currency that sum to 0',
        concat_ws(' ', count(*), 'that sum to', sum(amount), string_agg(distinct currency, ' and ')), null
    from payments.ledger
    group by tx_id
    having count(*) <> 2 or sum(amount) <> 0 or count(distinct (order_id, currency)) <> 1

    union all
    select 'charge_not_posted', p.order_id, concat_ws(' ', p.bill, p.currency),
        case
            when posting.tx_id is null then 'nothing'
            else concat_ws(' ', posting.amount, posting.currency, 'of order ' || nullif(posting.order_id, p.order_id))
        end,
        null
    from every_attempt a
    join every_payment p using (order_id)
    left join posting on posting.tx_id = a.id
    where a.outcome = 'approved'
        and (posting.order_id, posting.amount, posting.currency) is distinct from (p.order_id, p.bill, p.currency)

    union all
    select 'refund_not_posted', p.order_id, concat_ws(' ', -p.bill, p.currency, 'at once'),
        coalesce(string_agg(posting.amount || ' ' || posting.currency, ' and '), 'nothing'), null
    from every_payment p
    left join posting on posting.order_id = p.order_id and posting.amount < 0
    where p.status = 'refunded'
    group by p.order_id, p.bill, p.currency
    having count(posting) <> 1 or min(posting.amount) <> -p.bill or min(posting.currency) <> p.currency

    union all
    -- A charge bears the id of its attempt. What goes the other way is a refund, and there must have been a charge.
    select 'posting_without_attempt', posting.order_id, 'an approved attempt',
        concat_ws(' ', posting.amount, posting.currency, 'posted as', posting.tx_id), null
    from posting
    left join every_attempt a on a.order_id = posting.order_id and a.outcome = 'approved'
    where a.id is null or (posting.amount > 0 and posting.tx_id <> a.id)

    union all
    select 'kept_money_differs', coalesce(p.order_id, kept.order_id),
        concat(owed.amount, ', since the payment is ' || p.status),
        concat_ws(' ', coalesce(kept.amount, 0), kept.currency), null
    from every_payment p
    full join (select order_id, currency, sum(amount) as amount from posting group by order_id, currency) as kept
        on kept.order_id = p.order_id and kept.currency = p.currency
    cross join lateral (
        select case when p.status in ('paid', 'refunding') then p.bill else 0 end as amount
    ) owed
    where owed.amount <> coalesce(kept.amount, 0)

    union all
    -- The book is written before the attempt is settled, and after it was begun.
    select 'attempt_not_in_book', a.order_id, 'attempt ' || a.number || ' as ' || a.outcome, 'nothing', null
    from every_attempt a
    left join sandbox.charges c on c.attempt_id = a.id
    where a.outcome <> 'started' and c.attempt_id is null

    union all
    select 'book_differs', a.order_id, concat_ws(' ', p.bill, p.currency, a.outcome, a.decline_code),
        concat_ws(' ', c.amount, c.currency, c.status, c.decline_code, 'of order ' || nullif(c.order_id, a.order_id)), null
    from every_attempt a
    join every_payment p using (order_id)
    join sandbox.charges c on c.attempt_id = a.id
    where (c.order_id, c.amount, c.currency) is distinct from (a.order_id, p.bill, p.currency)
        or a.outcome not in ('started', case c.status when 'refunded' then 'approved' else c.status end)
        or a.outcome = 'declined' and a.decline_code is distinct from c.decline_code

    union all
    select 'refund_differs', p.order_id, 'payment ' || p.status, 'charge ' || c.status, null
    from every_payment p
    join sandbox.charges c on c.attempt_id = p.attempt_id
    where (p.status, c.status) in (('paid', 'refunded'), ('refunded', 'approved'))

    union all
    select 'charge_without_attempt', c.order_id, 'an attempt', concat_ws(' ', c.amount, c.currency, c.status), null
    from sandbox.charges c
    left join every_attempt a on a.id = c.attempt_id
    where a.id is null

    union all
    select 'charged_twice', order_id, 'one charge', count(*) || ' charges', null
    from sandbox.charges
    where status in ('approved', 'refunded')
    group by order_id
    having count(*) > 1

    union all
    -- A charge or refund without an answer is in flight for a minute more: it is looked up and repeated meanwhile.
    select 'in_doubt_too_long', order_id, 'an end', status || ' since ' || date_trunc('second', updated_at),
        updated_at + interval '1 minute'
    from every_payment
    where status in ('processing', 'refunding')
), judged as (
    select finding.*, coalesce(since > now() - setting.grace, false) as is_in_flight from finding cross join setting
)
select what, kind, order_id, expected, found
from (
    select 'compared' as what, place, kind, null::uuid as order_id, null as expected, found::text
    from (
        select 1, 'orders', (select count(*) from every_order)
        union all select 2, 'payments', (select count(*) from every_payment)
        union all select 3, 'attempts', (select count(*) from every_attempt)
        union all select 4, 'ledger_transactions',
            (select count(*) from (select from payments.ledger group by tx_id) as posted)
        union all select 5, 'charges_in_book', (select count(*) from sandbox.charges)
        union all select 6, 'in_flight', (select count(distinct order_id) from judged where is_in_flight)
    ) as counted (place, kind, found)
    union all
    select 'balance', 0, account || ' ' || currency, null, null, sum(amount)::text from payments.ledger group by account, currency
    union all
    select 'difference', 0, kind, order_id, expected, found from judged where not is_in_flight
) as report
order by what, place, kind, order_id, found;
