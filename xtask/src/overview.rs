//! `cargo xtask overview`: how both services stand, on one page.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::admin::{Admin, Service};
use crate::paths::StackDir;
use crate::print;
use crate::shares;

/// What to look at first. Exits with 1 when a service does not answer; the other is shown all the same.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    dir: StackDir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let admin = Admin::of_stack(&options.dir.open()?)?;
    let overviews = Service::ALL.map(|service| {
        let mut overview = overview(&admin, service);
        overview["replicas"] = shares::of_replicas(&admin, service);
        overview
    });
    let all_answer = overviews.iter().all(|overview| overview["problem"].is_null());
    print::out(if options.json { serde_json::to_string_pretty(&overviews)? } else { text(&overviews) });
    Ok(if all_answer { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a service tells, or why it does not: the other one may know more.
fn overview(admin: &Admin, service: Service) -> Value {
    let told = admin.ask(service, "GET", "/overview").and_then(|told| told.context("it has no overview"));
    match told {
        Ok(told) => told["data"].clone(),
        Err(problem) => json!({"service": service.name(), "problem": format!("{problem:#}")}),
    }
}

/// A line for each thing, indented by what it is part of.
fn text(overviews: &[Value]) -> String {
    let mut text = String::new();
    for overview in overviews {
        let _ = writeln!(text, "{}", overview["service"].as_str().unwrap_or_default());
        let is_told_apart = |name: &str| ["service", "replicas"].contains(&name);
        for (name, value) in overview.as_object().into_iter().flatten().filter(|(name, _)| !is_told_apart(name)) {
            tell(&mut text, 1, name, value);
        }
        let _ = writeln!(text, "  replicas, each since its start");
        for (replica, share) in overview["replicas"].as_object().into_iter().flatten() {
            tell(&mut text, 2, replica, &shares::in_words(share).into());
        }
    }
    text.trim_end().to_owned()
}

fn tell(text: &mut String, depth: usize, name: &str, value: &Value) {
    let indented = format!("{:width$}{name}", "", width = depth * 2);
    match value {
        Value::Object(members) => {
            let _ = writeln!(text, "{indented}");
            for (name, value) in members {
                tell(text, depth + 1, name, value);
            }
        }
        Value::Null => drop(writeln!(text, "{indented:<36} none")),
        Value::String(value) => drop(writeln!(text, "{indented:<36} {value}")),
        value => drop(writeln!(text, "{indented:<36} {value}")),
    }
}
