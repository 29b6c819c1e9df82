-- Orders :first to :last as months of use would have left them: keys and times go up, few users have many orders and many
-- have few. The first million is paid and waits for its delivery, which no measurement lives to see.
set session_replication_role = replica;

create temporary table filled as
select number, number <= 1000000 as waits, floor(50000 * random() ^ 3)::int as owner,
    now() - interval '90 days' + number * interval '0.7 s' as placed,
    (100 + random() * 100000)::bigint as bill
from generate_series(:first, :last) as number;

create function pg_temp.key(kind text, number bigint, at timestamptz) returns uuid language sql as $$
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0')
        || '7' || substr(md5(kind || number), 1, 3) || '8' || substr(md5(kind || number), 4, 15))::uuid
$$;

create temporary view keyed as
select *, pg_temp.key('order', number, placed) as id,
    case when owner < 10 then 'reader-' else 'user-' end || owner as created_by
from filled;

insert into orders.orders (id, created_by, status, payment_status, payment_version, bill, currency, deliver_at,
    expires_at, version, created_at, updated_at)
select id, created_by, case when waits then 'confirmed' else 'delivered' end, 'paid', 3, bill, 'USD',
    case when waits then now() + interval '30 days' + number * interval '1 s' else placed + interval '2 minutes' end,
    placed + interval '1 day', case when waits then 2 else 3 end, placed, placed + interval '1 minute'
from keyed;

insert into orders.order_events (order_id, version, status, cause, at)
select id, 2, 'confirmed', 'payment_paid', placed + interval '1 minute' from keyed
union all
select id, 3, 'delivered', 'delivery_due', placed + interval '2 minutes' from keyed where not waits;

insert into payments.payments (id, order_id, created_by, bill, currency, status, attempt_id, attempts, card_brand,
    card_last4, card_exp_month, card_exp_year, version, created_at, updated_at)
select pg_temp.key('payment', number, placed), id, created_by, bill, 'USD', 'paid',
    pg_temp.key('attempt', number, placed), 1, 'visa', '4242', 12, 2030, 3, placed, placed + interval '1 minute'
from keyed;
