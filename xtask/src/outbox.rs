//! `cargo xtask outbox`: the events of both services that have no receipt yet.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::admin::{Admin, Service};
use crate::deeds::{Deeds, Form};
use crate::paths::StackDir;
use crate::print;

/// How many events of each service are listed.
const LISTED: usize = 100;

/// What to do with events that wait for their receipts.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// How many there are, how old the oldest is, and the oldest hundred of each service
    List {
        #[command(flatten)]
        dir: StackDir,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish the oldest again at once; their consumers take no notice of what they have had already
    Republish {
        #[command(flatten)]
        dir: StackDir,
        /// Only those of this service
        #[arg(long)]
        service: Option<Service>,
        #[command(flatten)]
        form: Form,
    },
}

pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::List { dir, json } => {
            let admin = Admin::of_stack(&dir.open()?)?;
            // The one that does not answer may be why the other's events wait.
            let (outboxes, problems): (Vec<_>, Vec<_>) =
                Service::ALL.map(|service| outbox(&admin, service)).into_iter().partition(Result::is_ok);
            let outboxes: Vec<_> = outboxes.into_iter().flatten().collect();
            print::out(if *json { serde_json::to_string_pretty(&outboxes)? } else { table(&outboxes) });
            if let Some(problem) = problems.into_iter().find_map(Result::err) {
                return Err(problem);
            }
        }
        Command::Republish { dir, service, form } => {
            let (admin, mut deeds) = (Admin::of_stack(&dir.open()?)?, Deeds::told_as(form));
            for service in service.map_or(Service::ALL.to_vec(), |service| vec![service]) {
                let made_due = admin.ask(service, "POST", "/outbox/republish")?.context("the service has no outbox")?;
                let events = &made_due["data"]["events"];
                let service = service.name();
                let line = format!("{service}: {events} events are to be published again");
                deeds.done(line, json!({"service": service, "events": events}));
            }
            return deeds.end();
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn outbox(admin: &Admin, service: Service) -> Result<Value> {
    let overview = admin.ask(service, "GET", "/overview")?.context("the service has no overview")?;
    let list = admin.ask(service, "GET", &format!("/outbox?limit={LISTED}"))?.context("the service has no outbox")?;
    let messages = &overview["data"]["messages"];
    Ok(json!({
        "service": service.name(),
        "events": messages["outboxEvents"],
        "oldestAgeSeconds": messages["outboxOldestAgeSeconds"],
        "oldest": list["data"],
    }))
}

fn table(outboxes: &[Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let moment = |value: &Value| text(value).split('.').next().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for outbox in outboxes {
        let (service, events) = (text(&outbox["service"]), &outbox["events"]);
        let age = outbox["oldestAgeSeconds"].as_f64().unwrap_or_default();
        lines.push(format!("{service}: {events} events without a receipt, the oldest for {age:.1} s"));
        for event in outbox["oldest"].as_array().into_iter().flatten() {
            let (id, order, name) = (text(&event["id"]), text(&event["orderId"]), text(&event["event"]));
            let (created, next) = (moment(&event["createdAt"]), moment(&event["nextAttemptAt"]));
            lines.push(format!("  {id}  {name:<23}  order {order}  made {created}  again {next}"));
        }
    }
    lines.join("\n")
}
