//! `cargo xtask`: runs, tests and checks the whole system on this machine. Each command has a file of its own; `stack.rs`
//! says what a running system consists of and `supervisor.rs` keeps it running.

use std::process::ExitCode;

use clap::Parser;

mod demo;
mod up;

mod backup;
mod down;
mod in_doubt;
mod logs;
mod outbox;
mod overview;
mod parked;
mod partition;
mod promote;
mod ps;
mod reconcile;
mod restore;
mod retire;
mod story;
mod token;
mod watch;

mod bench;
mod chaos;
mod schemathesis;
mod soak;
mod test;
mod upgrade;

mod check;
mod docs;
mod manifests;
mod prepare;
mod sbom;

mod background;
mod progress;
mod stack;
mod supervisor;

mod archive;
mod console;
mod containers;
mod nginx;
mod postgres;
mod rabbitmq;
mod services;
mod standby;

mod admin;
mod alerts;
mod any_database;
mod deeds;
mod install;
mod leftovers;
mod paths;
mod ports;
mod print;
mod probe;
mod process;
mod python;
mod shares;
mod signals;
mod state;

/// Tasks of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
enum Task {
    /// Build and run the whole system: PostgreSQL, RabbitMQ, both services and the gateway.
    #[command(after_help = "The settings of the services pass through: DELIVERY_DELAY=2s cargo xtask up")]
    Up(up::Options),
    /// Show in half a minute what the system does, and what it survives, to be watched at the gateway's address.
    Demo(demo::Options),
    /// Stop the system that `up` has started, in order.
    Down(paths::StackDir),
    /// List the processes of the running system.
    Ps(ps::Options),
    /// Print the log of one process.
    Logs(logs::Options),
    /// Compare the orders, the payments, the ledger and the card processor's book, and list every difference.
    Reconcile(reconcile::Options),
    /// Print how both services stand.
    Overview(overview::Options),
    /// Tell everything that is known of one order, in the order in which it happened.
    Story(story::Options),
    /// List the events that have no receipt yet, or publish them again.
    #[command(subcommand)]
    Outbox(outbox::Command),
    /// List the payments that the card processor has not answered for, or ask it now.
    #[command(subcommand)]
    InDoubt(in_doubt::Command),
    /// List, show, replay or discard the messages that could not be applied.
    #[command(subcommand)]
    Parked(parked::Command),
    /// Back up the database of a running system that was started with `--archive`.
    Backup(backup::Options),
    /// Make a new system of what another one has left in its archive, as it was at any moment.
    Restore(restore::Options),
    /// Have the standby of a running system that was started with `--standby` take over from the primary.
    Promote(promote::Options),
    /// Move orders that were closed long ago, and their payments, to the archive.
    Retire(retire::Options),
    /// Partition the tables by month, or make the months that come next.
    Partition(partition::Options),
    /// Run Prometheus on a running system, with the alert rules, and tell which alerts come and go.
    Alerts(watch::Options),
    /// Print an access token for a system that was started with `AUTH_MODE=jwt`.
    Token(token::Options),
    /// Run every test, with a private PostgreSQL and RabbitMQ and a complete system of its own.
    Test(test::Options),
    /// Break everything that can break under load, then check that no promise was broken.
    Chaos(chaos::Options),
    /// Measure how fast the system is, beside what PostgreSQL and nginx can do at most.
    Bench(bench::Options),
    /// Use the system steadily while it clears away what it has done with, and draw what has grown meanwhile.
    Soak(soak::Options),
    /// Roll this version out over the release before, under load, then check that nobody was refused and no promise broken.
    Upgrade(upgrade::Options),
    /// Ask a running system what its document allows and what it does not, and compare the answers with the document.
    Schemathesis(schemathesis::Options),
    /// Format, lints, dependency policy and generated files.
    Check,
    /// Renew `.sqlx`, the committed descriptions of all SQL statements.
    Prepare(prepare::Options),
    /// Renew the documents of the API, which the gateway serves.
    Docs(docs::Options),
    /// Renew the rendered manifests for Kubernetes, and hold them against the published schemas.
    Manifests(manifests::Options),
    /// Write a bill of materials for each service.
    Sbom(sbom::Options),
    /// Keep the stack of a folder running: what `up --detach` leaves in the background.
    #[command(hide = true)]
    Supervise(paths::StackDir),
}

fn main() -> ExitCode {
    let outcome = match Task::parse() {
        Task::Up(options) => up::run(&options),
        Task::Demo(options) => demo::run(&options),
        Task::Down(options) => down::run(&options),
        Task::Ps(options) => ps::run(&options),
        Task::Logs(options) => logs::run(&options),
        Task::Reconcile(options) => reconcile::run(&options),
        Task::Overview(options) => overview::run(&options),
        Task::Story(options) => story::run(&options),
        Task::Outbox(command) => outbox::run(&command),
        Task::InDoubt(command) => in_doubt::run(&command),
        Task::Parked(command) => parked::run(&command),
        Task::Backup(options) => backup::run(&options),
        Task::Restore(options) => restore::run(&options),
        Task::Promote(options) => promote::run(&options),
        Task::Retire(options) => retire::run(&options),
        Task::Partition(options) => partition::run(&options),
        Task::Alerts(options) => watch::run(&options),
        Task::Token(options) => token::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Chaos(options) => chaos::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Soak(options) => soak::run(&options),
        Task::Upgrade(options) => upgrade::run(&options),
        Task::Schemathesis(options) => schemathesis::run(&options),
        Task::Check => check::run_all(),
        Task::Prepare(options) => prepare::run(&options),
        Task::Docs(options) => docs::run(&options),
        Task::Manifests(options) => manifests::run(&options),
        Task::Sbom(options) => sbom::run(&options),
        Task::Supervise(options) => background::serve(&options),
    };
    outcome.unwrap_or_else(|error| {
        print::err(format_args!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    #[test]
    fn whatever_an_operator_asks_can_be_answered_in_json() {
        let tasks = Task::command();
        for name in ["overview", "story", "reconcile", "outbox", "in-doubt", "parked"] {
            let task = tasks.find_subcommand(name).expect("there is such a task");
            let commands: Vec<&Command> =
                if task.has_subcommands() { task.get_subcommands().collect() } else { vec![task] };
            for command in commands {
                let has_json = command.get_arguments().any(|argument| argument.get_long() == Some("json"));
                assert!(has_json, "{name} {}", command.get_name());
            }
        }
    }
}
