-- The trace of the request that placed the order, as W3C Trace Context writes it: what its timers do later belongs to it.
alter table orders.orders add column traceparent text;
