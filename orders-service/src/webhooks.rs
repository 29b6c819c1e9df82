//! Webhooks by the Standard Webhooks specification (<https://www.standardwebhooks.com>): who wants it is told of every
//! change of an order or its payment, at least once, by POST.
//!
//! In reading order: what is told ([`event`]), to whom it may be told ([`target`]), how it is signed ([`signing`]) with
//! secrets that are kept sealed ([`sealing`], [`resealing`]), when it is tried again ([`schedule`]), how all that is stored
//! ([`store`], [`deliveries`], [`cursor`], [`lease`]); changes become deliveries ([`fan_out`]), deliveries are sent
//! ([`sending`]) with a client that goes nowhere else ([`client`]), which is [`measured`]; users manage them
//! ([`routes`]).

pub mod client;
pub mod cursor;
pub mod deliveries;
pub mod event;
pub mod fan_out;
pub mod lease;
pub mod measured;
pub mod openapi;
pub mod resealing;
pub mod routes;
pub mod schedule;
pub mod sealing;
pub mod sending;
pub mod signing;
pub mod store;
pub mod target;
