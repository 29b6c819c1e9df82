//! The chassis that both services stand on. It knows no order and no payment.
//!
//! In reading order: a process starts in [`process`] with the settings of [`settings`], talks HTTP with [`http`] and
//! answers errors as [`problem`]s, keeps its state in [`database`], and exchanges events through [`outbox`],
//! [`relay`], [`broker`] and [`consumer`]. Operators look at it through [`admin`].

pub mod process;
pub mod secrets;
pub mod settings;
pub mod telemetry;

pub mod answer;
pub mod auth;
pub mod body;
pub mod http;
pub mod idempotency;
pub mod listening;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod problem_types;
pub mod spans;
pub mod trace_context;

pub mod batcher;
mod composite;
pub mod database;
pub mod partitions;
pub mod pool;
mod replication;
pub mod servers;
mod unprepared;

pub mod broker;
pub mod consumer;
pub mod encryption;
pub mod message;
pub mod outbox;
mod parcel;
pub mod parked;
mod queue_lengths;
mod received;
pub mod relay;
pub mod replay;

pub mod admin;
pub mod metrics;
mod outbox_routes;
pub mod overview;
pub mod page_after;
mod parked_routes;
pub mod stored;
pub mod story;

pub mod crash_point;

#[cfg(feature = "testing")]
pub mod contract;
#[cfg(feature = "testing")]
pub mod testing;
