//! How to tell that a part does its work, and that the system as a whole does.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::print;

const TRY_AGAIN: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_secs(2);
/// What sets up a database cannot wait for its standby, which is a copy of it.
const ALONE: &str = "set synchronous_commit = local";

/// A question that is asked until it is answered.
#[derive(Clone)]
pub(crate) enum Probe {
    /// Something listens.
    Tcp(SocketAddr),
    /// A broker speaks AMQP 0-9-1.
    Amqp(u16),
    /// An address answers 200.
    Http(String),
    /// It has ended, and well: what it is there for is done.
    Ended,
    /// The log of the database is being streamed.
    Archiving { psql: PathBuf, url: String },
    /// The database takes connections and has its roles and schemas. Of two servers, the one that is not the primary is
    /// ready when it has all that the other one has answered.
    Bootstrapped { psql: PathBuf, url: String, standby_of: Option<String>, database: String, script: PathBuf },
}

impl Probe {
    /// Asks on a thread of its own; `then` is called once, unless `alive` becomes false before.
    pub(crate) fn watch(&self, alive: Arc<AtomicBool>, then: impl FnOnce() + Send + 'static) {
        let probe = self.clone();
        thread::spawn(move || {
            let mut reported = String::new();
            while alive.load(Ordering::Relaxed) {
                match probe.ask() {
                    Ok(()) => return then(),
                    Err(error) => probe.report(&error, &mut reported),
                }
                thread::sleep(TRY_AGAIN);
            }
        });
    }

    fn ask(&self) -> Result<()> {
        match self {
            Self::Ended => bail!("it still runs"),
            Self::Tcp(address) => connect(*address).map(drop),
            Self::Amqp(port) => greet(*port),
            Self::Http(url) => get(url, None).and_then(|status| {
                ensure!(status == 200, "{url} answers {status}");
                Ok(())
            }),
            Self::Archiving { psql, url } => {
                let streaming = "select 1 from pg_stat_replication where application_name = 'pg_receivewal'";
                let found = psql_output(psql, url, &["-tAc", streaming])?;
                ensure!(!found.trim().is_empty(), "the log is not streamed yet");
                Ok(())
            }
            Self::Bootstrapped { psql, url, standby_of, database, script } => {
                if let Some(primary) = standby_of
                    && psql_output(psql, url, &["-tAc", "select pg_is_in_recovery()"])?.trim() == "t"
                {
                    return keeps_up(psql, primary);
                }
                let found = psql_output(
                    psql,
                    url,
                    &["-tAc", &format!("select 1 from pg_database where datname = '{database}'")],
                )?;
                if found.trim().is_empty() {
                    psql_output(psql, url, &["-c", ALONE, "-c", &format!("create database {database}")])?;
                }
                let file = script.to_str().context("the path of the repository is not UTF-8")?;
                psql_output(psql, &database_url(url, database), &["-1", "-c", ALONE, "-f", file]).map(drop)
            }
        }
    }

    /// A database that is not up yet is no news; a script that fails is.
    fn report(&self, error: &anyhow::Error, reported: &mut String) {
        let error = error.to_string();
        if matches!(self, Self::Bootstrapped { .. }) && error.contains("ERROR") && *reported != error {
            print::err(format_args!("the database cannot be set up: {error}"));
            *reported = error;
        }
    }
}

/// Whether there is a standby whose disk has all that the primary answers.
fn keeps_up(psql: &PathBuf, primary: &str) -> Result<()> {
    let standby = "select 1 from pg_stat_replication where sync_state in ('sync', 'quorum')";
    let found = psql_output(psql, primary, &["-tAc", standby])?;
    ensure!(!found.trim().is_empty(), "the standby does not have everything yet");
    Ok(())
}

/// Runs psql against a database; what it prints, or its complaint.
pub(crate) fn psql_output(psql: &PathBuf, url: &str, args: &[&str]) -> Result<String> {
    let mut command = Command::new(psql);
    // Neither the user's own settings nor notices of what is there already.
    for name in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGSSLMODE"] {
        command.env_remove(name);
    }
    command.env("PGCONNECT_TIMEOUT", "2").env("PGOPTIONS", "-c client_min_messages=warning");
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url]).args(args).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run {}", psql.display()))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The URL of another database on the same server.
pub(crate) fn database_url(url: &str, database: &str) -> String {
    let server = url.rsplit_once('/').map_or(url, |(server, _)| server);
    format!("{server}/{database}")
}

/// The status that a GET answers with, as the built-in demo user if a token is given.
pub(crate) fn get(url: &str, token: Option<&str>) -> Result<u16> {
    let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
    let mut request = ureq::Agent::new_with_config(config).get(url);
    if let Some(token) = token {
        request = request.header("Authorization", token);
    }
    Ok(request.call()?.status().as_u16())
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn greet(port: u16) -> Result<()> {
    let mut stream = connect((Ipv4Addr::LOCALHOST, port).into())?;
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    let mut frame_type = [0];
    stream.read_exact(&mut frame_type)?;
    // 1 is a method frame, here connection.start; a broker that refuses repeats the protocol header instead.
    ensure!(frame_type == [1], "no AMQP 0-9-1 on port {port}");
    Ok(())
}
