//! `cargo xtask parked`: the messages that could not be applied, of both services.

use std::fmt::{self, Display};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::{Admin, Service};
use crate::deeds::Form;
use crate::paths::StackDir;
use crate::print;

mod replay;

use replay::{discard, for_each, replay};

/// What to do with parked messages. The exit code is 0 only if everything that was asked for was done.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List them, the oldest first
    List {
        #[command(flatten)]
        dir: StackDir,
        /// Only those of this service
        #[arg(long)]
        service: Option<Service>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print one of them with its body
    Show {
        #[command(flatten)]
        dir: StackDir,
        id: ParkedId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send them to their queues once more; those that still cannot be applied are parked again
    Replay {
        #[command(flatten)]
        dir: StackDir,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        form: Form,
    },
    /// Give them up for ever
    Discard {
        #[command(flatten)]
        dir: StackDir,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        form: Form,
    },
}

/// One or more by their names, or all.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// As `list` names them: orders/17
    #[arg(value_name = "ID")]
    ids: Vec<ParkedId>,
    /// All that are parked now
    #[arg(long)]
    all: bool,
}

/// The name of a parked message, `orders/17`: each service counts its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParkedId {
    service: Service,
    row: i64,
}

/// A parked message as its service tells of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: i64,
    queue: String,
    message_id: Option<String>,
    bytes: i64,
    reason: String,
    replay_of: Option<i64>,
    parked_at: String,
}

pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::List { dir, service, json } => {
            let services = service.map_or(Service::ALL.to_vec(), |service| vec![service]);
            let parked = list_all(&Admin::of_stack(&dir.open()?)?, &services)?;
            print::out(if *json { as_json(&parked)? } else { table(&parked)? });
            Ok(ExitCode::SUCCESS)
        }
        Command::Show { dir, id, json } => {
            let shown = Admin::of_stack(&dir.open()?)?.ask(id.service, "GET", &id.path())?;
            let shown = &shown.with_context(|| id.unknown())?["data"];
            let text = if *json { serde_json::to_string_pretty(&named(id.service, shown))? } else { page(*id, shown)? };
            print::out(text);
            Ok(ExitCode::SUCCESS)
        }
        Command::Replay { dir, which, form } => for_each(&Admin::of_stack(&dir.open()?)?, which, form, replay),
        Command::Discard { dir, which, form } => for_each(&Admin::of_stack(&dir.open()?)?, which, form, discard),
    }
}

fn list_all(admin: &Admin, services: &[Service]) -> Result<Vec<(Service, Value)>> {
    let lists = services.iter().map(|service| list_after(admin, *service, 0)).collect::<Result<Vec<_>>>()?;
    Ok(lists.into_iter().flatten().collect())
}

/// All that one service has parked later than this row.
fn list_after(admin: &Admin, service: Service, row: i64) -> Result<Vec<(Service, Value)>> {
    let (mut found, mut after) = (Vec::new(), Some(row));
    while let Some(row) = after {
        let path = format!("/parked?limit=1000&after={row}");
        let page = admin.ask(service, "GET", &path)?.context("the service has no list of parked messages")?;
        found.extend(page["data"].as_array().into_iter().flatten().map(|parked| (service, parked.clone())));
        after = page["page"]["nextAfter"].as_i64();
    }
    Ok(found)
}

fn as_json(parked: &[(Service, Value)]) -> Result<String> {
    let parked: Vec<_> = parked.iter().map(|(service, parked)| named(*service, parked)).collect();
    Ok(serde_json::to_string_pretty(&parked)?)
}

/// As the services tell of it, but with a name that no other service's has.
fn named(service: Service, parked: &Value) -> Value {
    let mut named = json!({"service": service.name()});
    for (member, value) in parked.as_object().into_iter().flatten() {
        named[member] = value.clone();
    }
    named["id"] = format!("{}/{}", service.name(), parked["id"]).into();
    named
}

fn table(parked: &[(Service, Value)]) -> Result<String> {
    if parked.is_empty() {
        return Ok("nothing is parked".to_owned());
    }
    let mut lines = vec![format!("{:<14} {:<20} {:>7}  {:<24} REASON", "ID", "PARKED AT", "BYTES", "QUEUE")];
    for (service, parked) in parked {
        let Row { id, queue, bytes, reason, parked_at, .. } = Row::deserialize(parked)?;
        let id = ParkedId { service: *service, row: id }.to_string();
        let parked_at = parked_at.split('.').next().unwrap_or_default();
        lines.push(format!("{id:<14} {parked_at:<20} {bytes:>7}  {queue:<24} {reason}"));
    }
    Ok(lines.join("\n"))
}

fn page(id: ParkedId, shown: &Value) -> Result<String> {
    let Row { queue, message_id, bytes, reason, replay_of, parked_at, .. } = Row::deserialize(shown)?;
    let mut lines = vec![
        format!("id          {id}"),
        format!("queue       {queue}"),
        format!("message id  {}", message_id.as_deref().unwrap_or("none")),
        format!("reason      {reason}"),
        format!("parked at   {parked_at}"),
    ];
    lines.extend(replay_of.map(|row| format!("replay of   {}", ParkedId { row, ..id })));
    let format = shown["bodyFormat"].as_str().unwrap_or_default();
    lines.push(format!("body        {bytes} bytes, {format}\n"));
    lines.push(match shown["body"].as_str() {
        Some(text) if format != "json" => text.to_owned(),
        _ => serde_json::to_string_pretty(&shown["body"])?,
    });
    Ok(lines.join("\n"))
}

impl ParkedId {
    fn path(self) -> String {
        format!("/parked/{}", self.row)
    }

    fn unknown(self) -> String {
        format!("there is no parked message {self}: `cargo xtask parked list` shows those that are")
    }
}

impl Display for ParkedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service.name(), self.row)
    }
}

impl FromStr for ParkedId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (service, row) = text.split_once('/').unwrap_or_default();
        let service = Service::ALL.into_iter().find(|known| known.name() == service);
        match (service, row.parse()) {
            (Some(service), Ok(row)) => Ok(Self { service, row }),
            _ => Err("must be the service and a number, like orders/17"),
        }
    }
}
