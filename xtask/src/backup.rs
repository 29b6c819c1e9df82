//! `cargo xtask backup`: a base backup of a stack that runs and was started with `--archive`.

use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::archive::Archive;
use crate::paths::StackDir;
use crate::stack::Plan;
use crate::{postgres, print, probe, state};

/// The system goes on meanwhile. What was written since the last backup is in the archive already; a new one makes a
/// restore shorter.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    dir: StackDir,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let dir = options.dir.open()?;
    let running = state::running(&dir)?.with_context(|| format!("nothing runs in {}", dir.display()))?;
    let archive = Plan::load(&dir)?.archive.context("the stack has no archive: start it with --archive FOLDER")?;
    let archive = Archive::at(&archive);
    let unfinished = archive.backups().join("unfinished");
    if unfinished.is_dir() {
        fs::remove_dir_all(&unfinished)?;
    }
    let programs = postgres::programs().context("PostgreSQL is not installed")?;
    let user = postgres::user();
    let mut backup = postgres::as_user(user.as_deref(), &programs.join("pg_basebackup"));
    backup.args(["--checkpoint=fast", "--dbname", &running.postgres, "--pgdata"]).arg(&unfinished);
    ensure!(backup.current_dir("/").status()?.success(), "the backup could not be made");
    let mut verify = postgres::as_user(user.as_deref(), &programs.join("pg_verifybackup"));
    ensure!(verify.current_dir("/").arg("--quiet").arg(&unfinished).status()?.success(), "the backup is damaged");
    // By the clock that a restore goes by.
    let now = "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let complete = loop {
        let name = probe::psql_output(&programs.join("psql"), &running.postgres, &["-tAc", now])?.trim().to_owned();
        let complete = archive.backups().join(name);
        // A backup is told from others by its second.
        if !complete.exists() {
            break complete;
        }
        thread::sleep(Duration::from_millis(100));
    };
    fs::rename(&unfinished, &complete)?;
    print::out(format_args!("{}", complete.display()));
    Ok(ExitCode::SUCCESS)
}
