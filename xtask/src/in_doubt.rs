//! `cargo xtask in-doubt`: charges that should have been answered by now, and refunds that are not done.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::admin::{Admin, Service};
use crate::deeds::{Deeds, Form};
use crate::paths::StackDir;
use crate::print;

/// How long the card processor may take to answer what is asked now.
const PATIENCE: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What to do with payments in doubt. The exit code is 0 only if everything that was asked for was done.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List them, those that the card processor is asked about next first
    List {
        #[command(flatten)]
        dir: StackDir,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask the card processor now, and wait for what comes of it
    Settle {
        #[command(flatten)]
        dir: StackDir,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        form: Form,
    },
}

/// One or more by their orders, or all.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// As `list` names them
    #[arg(value_name = "ORDER_ID")]
    orders: Vec<String>,
    /// All that are in doubt now
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::List { dir, json } => {
            let found = list(&Admin::of_stack(&dir.open()?)?)?;
            print::out(if *json { serde_json::to_string_pretty(&found)? } else { table(&found) });
            Ok(ExitCode::SUCCESS)
        }
        Command::Settle { dir, which, form } => settle(&Admin::of_stack(&dir.open()?)?, which, form),
    }
}

fn list(admin: &Admin) -> Result<Vec<Value>> {
    let list = admin.ask(Service::Payments, "GET", "/in-doubt")?.context("the service has no such list")?;
    Ok(list["data"].as_array().cloned().unwrap_or_default())
}

/// All are asked about before any is waited for.
fn settle(admin: &Admin, which: &Which, form: &Form) -> Result<ExitCode> {
    let mut orders = which.orders.clone();
    if which.all {
        orders.extend(list(admin)?.iter().map(order_of));
    }
    let (mut asked, mut deeds) = (Vec::new(), Deeds::told_as(form));
    if orders.is_empty() {
        deeds.none("nothing is in doubt");
    }
    for order in orders {
        match admin.ask(Service::Payments, "POST", &format!("/in-doubt/{order}/settle")) {
            Ok(_) => asked.push(order),
            Err(problem) => deeds.failed("orderId", order, &problem),
        }
    }
    let began = Instant::now();
    while !asked.is_empty() && began.elapsed() < PATIENCE {
        thread::sleep(LOOK_AGAIN);
        let unsettled: Vec<String> = list(admin)?.iter().map(order_of).collect();
        asked.retain(|order| {
            let is_settled = !unsettled.contains(order);
            if is_settled {
                let status = status(admin, order);
                let deed = json!({"orderId": order, "outcome": "settled", "status": status});
                deeds.done(format_args!("{order} is settled: {status}"), deed);
            }
            !is_settled
        });
    }
    for order in asked {
        let line = format!("{order} is still in doubt: the card processor does not answer, and is asked again");
        deeds.undone(line, json!({"orderId": order, "outcome": "in_doubt"}));
    }
    deeds.end()
}

fn order_of(payment: &Value) -> String {
    payment["orderId"].as_str().unwrap_or_default().to_owned()
}

/// What the payment is now.
fn status(admin: &Admin, order: &str) -> String {
    let story = admin.ask(Service::Payments, "GET", &format!("/story/{order}")).ok().flatten();
    let status = story.and_then(|story| Some(story["data"]["row"]["status"].as_str()?.to_owned()));
    status.unwrap_or_else(|| "unknown".to_owned())
}

fn table(payments: &[Value]) -> String {
    if payments.is_empty() {
        return "nothing is in doubt".to_owned();
    }
    let mut lines = vec![format!("{:<36}  {:<10}  {:>9}  {:>20}  ATTEMPT", "ORDER", "STATUS", "FOR", "BILL")];
    for payment in payments {
        let text = |member: &str| payment[member].as_str().unwrap_or_default();
        let (order, status, attempt) = (text("orderId"), text("status"), text("attemptId"));
        let age = format!("{:.0} s", payment["ageSeconds"].as_f64().unwrap_or_default());
        let bill = format!("{} {}", payment["bill"], text("currency"));
        lines.push(format!("{order:<36}  {status:<10}  {age:>9}  {bill:>20}  {attempt}"));
    }
    lines.join("\n")
}
