//! The running system as its users meet it: real processes, through nginx, and what happens when they are killed.
//!
//! `cargo xtask test` starts the system and says where it is in `GATEWAY_URL` and `STACK_DIR`.

mod broker;
mod client;
mod crash;
mod customers;
mod database;
mod load;
mod money;
mod own_stack;
mod polling;
mod reconciliation;
mod secrets;
mod stack;
mod storage;
mod table_lock;

mod bench;
mod broker_alarm;
mod broker_rights;
mod card_secrecy;
mod chaos;
mod cluster;
mod console;
mod conventions;
mod crash_points;
mod demo;
mod differences;
mod docker_backup;
mod documents;
mod failover;
mod gateway_bodies;
mod gateway_encryption;
mod gateway_errors;
mod gateway_limit;
mod hostile;
mod idempotency;
mod life_of_an_order;
mod operations;
mod orphaned_statements;
mod ownership;
mod parked;
mod partition;
mod payment_deaths;
mod reconcile;
mod replicas;
mod restore;
mod retire;
mod shutdown;
mod signed_tokens;
mod soak;
mod streams;
mod survival;
mod traces;
mod upgrade;
mod webhooks;
