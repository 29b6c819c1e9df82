//! The payments service with its real database and its real sandbox, from its routes to its rows.

mod held_processor;
mod helpers;

mod access;
mod attempts;
mod card_data;
mod documented;
mod grants;
mod idempotency;
mod interleavings;
mod ledger;
mod months;
mod new_orders;
mod operations;
mod parameters;
mod pay;
mod pay_at_once;
mod pay_refusals;
mod payment_cancel;
mod payment_create;
mod plans;
mod privileges;
mod read_payments;
mod refunds;
mod settlement;
