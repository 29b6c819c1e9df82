//! `cargo xtask ps`: the processes of a running stack, for people and for programs.

use std::process::ExitCode;

use anyhow::Result;

use crate::paths::StackDir;
use crate::print;
use crate::state::{self, State};

/// Exits with 1 when nothing runs.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    dir: StackDir,
    /// Print JSON, with the addresses of the gateway, the database and the broker
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let dir = options.dir.open()?;
    let Some(state) = state::running(&dir)? else {
        print::err(format_args!("nothing runs in {}", dir.display()));
        return Ok(ExitCode::FAILURE);
    };
    let state = State { supervisor: None, ..state };
    let text = if options.json { serde_json::to_string_pretty(&state)? } else { table(&state) };
    print::out(text);
    Ok(ExitCode::SUCCESS)
}

fn table(state: &State) -> String {
    let mut lines = vec![
        format!("gateway   {}\npostgres  {}\namqp      {}\n", state.gateway, state.postgres, state.amqp),
        format!("{:<20} {:>8}  {:<14} {:<9} {:>8}  LOG", "NAME", "PID", "PORTS", "STATE", "RESTARTS"),
    ];
    for process in &state.processes {
        let pid = process.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let ports = process.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        lines.push(format!(
            "{:<20} {pid:>8}  {ports:<14} {:<9} {:>8}  {}",
            process.name,
            process.state.as_str(),
            process.restarts,
            process.log.display()
        ));
    }
    lines.join("\n")
}
