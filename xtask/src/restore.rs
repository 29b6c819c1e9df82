//! `cargo xtask restore`: makes a new stack of what another one has left in its archive, as it was at any moment.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::archive::Archive;
use crate::paths::StackDir;
use crate::{postgres, print, state};

/// Into an empty folder; `cargo xtask up` with the same folder then starts the system as it was.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    dir: StackDir,
    /// The folder that the lost stack was started with
    #[arg(long, value_name = "FOLDER")]
    archive: PathBuf,
    /// The moment to go back to, as 2026-01-31T23:59:59Z [default: the last]
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let dir = options.dir.open()?;
    let _lock = state::lock(&dir)?.with_context(|| format!("a stack runs in {}", dir.display()))?;
    let is_empty = fs::read_dir(&dir)?.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "lock"));
    ensure!(is_empty, "{} is not empty: a stack is only restored where there is none", dir.display());
    let archive = Archive::at(&options.archive.canonicalize()?);
    let backup = choose(&archive.complete()?, options.time.as_deref())?;
    let folder = postgres::folder(&dir)?;
    print::out(format_args!("restoring the backup of {backup}"));
    let data = folder.join("data");
    // With its owner.
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--no-target-directory"]).arg(archive.backups().join(&backup)).arg(&data);
    ensure!(copy.status()?.success(), "the backup cannot be copied");
    let settings = OpenOptions::new().append(true).open(data.join("postgresql.auto.conf"));
    settings?.write_all(recovery(&archive.log(), options.time.as_deref())?.as_bytes())?;
    let mut signal = postgres::as_user(postgres::user().as_deref(), Path::new("touch"));
    ensure!(signal.current_dir("/").arg(data.join("recovery.signal")).status()?.success(), "the folder is read-only");
    print::out(format_args!("`cargo xtask up --dir {}` takes in what was written since and starts it", dir.display()));
    Ok(ExitCode::SUCCESS)
}

/// The last backup that was complete at that time.
fn choose(complete: &[String], time: Option<&str>) -> Result<String> {
    if let Some(time) = time {
        let is_time = time.len() == 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T';
        ensure!(is_time, "the time has to be written as 2026-01-31T23:59:59Z");
    }
    let before = |name: &&String| time.is_none_or(|time| name.as_str() <= time);
    complete.iter().rfind(before).cloned().context("there is no backup from before that")
}

/// How PostgreSQL goes on from the backup: to the moment that is asked for, or to the end of the log, and then as a
/// server of its own.
fn recovery(log: &Path, time: Option<&str>) -> Result<String> {
    let log = log.to_str().context("the path of the archive is not UTF-8")?;
    ensure!(!log.contains(['\'', '"', '%', '\\']), "{log} has a character that PostgreSQL would take for its own");
    let command = fetch(log);
    let target =
        time.map_or_else(String::new, |time| format!("recovery_target_time = '{}+00'\n", time.trim_end_matches('Z')));
    Ok(format!("restore_command = '{command}'\nrecovery_target_action = 'promote'\n{target}"))
}

/// Brings PostgreSQL a file of the log, or tells that there is none. What is there and cannot be read is not the end of it:
/// more than 125 stops the recovery
/// (<https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-RESTORE-COMMAND>).
fn fetch(log: &str) -> String {
    // What was being written last has another name.
    format!(
        "ls \"{log}\" >/dev/null || exit 255; file=\"{log}/%f\"; test -e \"$file\" || file=\"$file.partial\"; \
         test -e \"$file\" || exit 1; cp \"$file\" \"%p\" || exit 255"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_log_that_cannot_be_read_is_not_the_end_of_it() {
        let log = std::env::temp_dir().join(format!("order-processing-log-{}", std::process::id()));
        fs::create_dir_all(log.join("3")).expect("a folder, which is no file");
        for name in ["1", "2.partial"] {
            fs::write(log.join(name), name).expect("a file");
        }
        let fetched = |folder: &Path, file: &str| {
            let command = fetch(folder.to_str().expect("a path"));
            let command = command.replace("%f", file).replace("%p", log.join("fetched").to_str().expect("a path"));
            Command::new("sh").args(["-c", &command]).output().expect("a shell").status.code()
        };
        let outcomes = ["1", "2", "3", "4"].map(|file| fetched(&log, file));
        let without_folder = fetched(&log.join("gone"), "1");
        fs::remove_dir_all(&log).expect("the folder can be removed");
        assert_eq!((outcomes, without_folder), ([Some(0), Some(0), Some(255), Some(1)], Some(255)));
    }

    #[test]
    fn the_last_backup_before_the_moment_is_chosen() {
        let complete = ["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"].map(str::to_owned);
        let chosen = |time| choose(&complete, time).ok();
        assert_eq!(chosen(None).as_deref(), Some("2026-01-02T10:00:00Z"));
        assert_eq!(chosen(Some("2026-01-02T09:59:59Z")).as_deref(), Some("2026-01-01T10:00:00Z"));
        assert_eq!(chosen(Some("2025-12-31T10:00:00Z")), None);
        assert_eq!(chosen(Some("2026-01-02 10:00:00Z")), None, "not as it has to be written");
        assert!(choose(&[], None).is_err());
    }

    #[test]
    fn a_path_that_would_break_out_of_the_command_is_refused() {
        assert!(recovery(Path::new("/archive/log"), None).is_ok_and(|text| text.contains("file=\"/archive/log/%f\"")));
        assert!(recovery(Path::new("/archive'; rm/log"), None).is_err());
    }
}
