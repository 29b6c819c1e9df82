-- The trace of what last happened to the payment, as W3C Trace Context writes it: what the settlement does belongs to it.
alter table payments.payments add column traceparent text;
grant update (traceparent) on payments.payments to payments_service;
