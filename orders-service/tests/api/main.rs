//! The orders service with its real database, from its routes to its rows.

mod helpers;
mod operator;
mod parameters;

mod access;
mod cancel_order;
mod create_order;
mod documented;
mod idempotency;
mod interleavings;
mod lists;
mod operations;
mod parked;
mod payment_processed;
mod plans;
mod read_orders;
mod stream_races;
mod streams;
mod timers;
mod upgrade;
mod webhook_attacks;
mod webhook_meanwhile;
mod webhook_routes;
mod webhook_secrets;
mod webhook_service;
mod webhook_wire;
mod webhooks;
