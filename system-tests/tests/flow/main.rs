//! Both services in one process, on a real database and a real broker, with exchanges and queues of their own.
//!
//! `cargo xtask test` starts the two servers and says where they are in `DATABASE_URL` and `AMQP_URL`.

mod broker;
mod encrypted;
mod link;
mod services;

mod broker_trouble;
mod database_trouble;
mod encryption;
mod events;
mod life_of_an_order;
mod metrics;
mod parked;
mod partitions;
mod pooler;
mod races;
