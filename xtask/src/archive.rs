//! Where a stack leaves what its database can be restored from: base backups, and the log of all that was written since,
//! which is streamed there while it is written. With both, the database can be restored to any moment.
//!
//! RabbitMQ is left out on purpose: what it has is in an outbox as well, and is sent again.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use nix::unistd::User;

use crate::paths;
use crate::postgres;
use crate::probe::Probe;
use crate::process::{Environment, Part, Stage};
use crate::stack::Layout;

/// Keeps the server from forgetting what has not been streamed yet.
const SLOT: &str = "archive";

/// The folder that a stack was given for it.
pub(crate) struct Archive(PathBuf);

impl Archive {
    pub(crate) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The write-ahead log.
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Base backups, each in a folder that is named after the moment at which it was complete.
    pub(crate) fn backups(&self) -> PathBuf {
        self.0.join("base")
    }

    /// Makes the folders, for the user that PostgreSQL runs as.
    fn open(&self) -> Result<()> {
        let user = postgres::user();
        for folder in [self.0.clone(), self.log(), self.backups()] {
            paths::open_dir(&folder)?;
            if let Some(user) = &user {
                let owner = User::from_name(user)?.with_context(|| format!("there is no user {user}"))?;
                chown(&folder, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?;
                let can_enter = postgres::can_enter(user, &folder)?;
                ensure!(can_enter, "PostgreSQL's user cannot enter {}: choose another folder", folder.display());
            }
        }
        Ok(())
    }

    /// The names of the complete backups, the oldest first.
    pub(crate) fn complete(&self) -> Result<Vec<String>> {
        let folder = self.backups();
        let entries = fs::read_dir(&folder).with_context(|| format!("no backups are in {}", folder.display()))?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<Result<Vec<_>>>()?;
        names.retain(|name| name.starts_with(|first: char| first.is_ascii_digit()));
        names.sort();
        Ok(names)
    }
}

/// Streams from the primary, which is another one after a failover and has no slot then. Its arguments: the folder, and the
/// program with what it is always told.
const SCRIPT: &str = r#"
set -e
folder=$1
shift
"$@" --create-slot --if-not-exists
exec "$@" --directory "$folder" --synchronous --status-interval=1 --no-loop
"#;

/// What streams the log of this database, for as long as the stack runs.
pub(crate) fn prepare(layout: &Layout, database: &str, primary: &str, archive: &Archive) -> Result<Part> {
    archive.open()?;
    let programs = postgres::programs().context("PostgreSQL is not installed")?;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("the path of the archive is not UTF-8");
    let (log, receiver) = (text(&archive.log())?, text(&programs.join("pg_receivewal"))?);
    let args = ["-c", SCRIPT, "sh", &log, &receiver, "--dbname", database, "--slot", SLOT];
    let name = "archive";
    Ok(Part {
        name: name.to_owned(),
        stage: Stage::Database,
        listed: true,
        folder: layout.folder(name)?,
        program: "sh".into(),
        args: args.map(str::to_owned).into(),
        environment: Environment::Own,
        variables: Vec::new(),
        user: postgres::user(),
        ports: Vec::new(),
        log: layout.log(name),
        needs: vec![primary.to_owned()],
        ready: Probe::Archiving { psql: programs.join("psql"), url: database.to_owned() },
        stop: Signal::SIGTERM,
        patience: Duration::from_secs(5),
        orphaned: Signal::SIGKILL,
    })
}
