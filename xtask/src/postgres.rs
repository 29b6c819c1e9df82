//! A private PostgreSQL: its data folder, its user, its settings.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};

use crate::paths;
use crate::ports::Ports;
use crate::probe::Probe;
use crate::process::{Environment, Part, Stage};
use crate::stack::{Durability, Layout, Plan};
use crate::standby::{self, SERVERS, Server, Standby};

const DATABASE: &str = "order_processing";
const PASSWORD: &str = "postgres-demo-password";

/// A database to start, and how its superuser reaches it.
pub(crate) struct Database {
    /// The primary first.
    pub(crate) servers: Vec<Part>,
    pub(crate) url: String,
}

pub(crate) fn prepare(layout: &Layout, free: &mut Ports, plan: &Plan) -> Result<Database> {
    let programs = programs().context("PostgreSQL is not installed")?;
    let data = folder(layout.dir)?.join("data");
    match fs::read_to_string(data.join("PG_VERSION")) {
        Ok(version) => check_version(&programs, version.trim())?,
        Err(_) => create(&programs, &data, user().as_deref())?,
    }
    let mut server = |name| server(layout, free, &programs, name, plan);
    let [first, second] = SERVERS;
    match plan.standby {
        Standby::None => {
            standby::ensure_first_is_primary(layout.dir)?;
            let Server { mut part, port, .. } = server(first)?;
            part.args.extend(["-c", "synchronous_standby_names="].map(str::to_owned));
            Ok(Database { servers: vec![part], url: url(&port.to_string(), DATABASE) })
        }
        Standby::Synchronous => {
            let servers = [server(first)?, server(second)?];
            let [one, other] = [&servers[0], &servers[1]].map(|server| server.port);
            let either = url(&format!("{one},127.0.0.1:{other}"), DATABASE);
            let servers = standby::pair(layout.dir, servers)?;
            Ok(Database { servers, url: format!("{either}?target_session_attrs=read-write") })
        }
    }
}

/// Where a superuser finds a server of which it is not known what it has.
pub(crate) fn maintenance_url(port: u16) -> String {
    url(&port.to_string(), "postgres")
}

fn url(port: &str, database: &str) -> String {
    format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/{database}")
}

fn server(layout: &Layout, free: &mut Ports, programs: &Path, name: &str, plan: &Plan) -> Result<Server> {
    let port = free.get(name)?;
    let folder = paths::open_dir(&standby::folder(layout.dir, name)?)?;
    let data = folder.join("data");
    let mut args = vec!["-D".to_owned(), text(&data)?];
    for setting in settings(port, plan.durability) {
        args.extend(["-c".to_owned(), setting]);
    }
    let part = Part {
        name: name.to_owned(),
        stage: Stage::Database,
        listed: true,
        folder,
        program: programs.join("postgres"),
        args,
        environment: Environment::Own,
        variables: Vec::new(),
        user: user(),
        ports: vec![port],
        log: layout.log(name),
        needs: Vec::new(),
        ready: Probe::Bootstrapped {
            psql: programs.join("psql"),
            url: maintenance_url(port),
            standby_of: None,
            database: DATABASE.to_owned(),
            script: plan.bootstrap.clone().unwrap_or_else(bootstrap),
        },
        // A fast stop: sessions are ended, everything is written.
        stop: Signal::SIGINT,
        patience: Duration::from_secs(30),
        // An immediate stop, which takes the backends along; the next start recovers.
        orphaned: Signal::SIGQUIT,
    };
    Ok(Server { part, port, data })
}

/// The script that makes roles and schemas, and may be run again.
pub(crate) fn bootstrap() -> PathBuf {
    paths::root().join("migrations/bootstrap.sql")
}

/// Whom PostgreSQL runs as, if not as us: it refuses to run as root.
pub(crate) fn user() -> Option<String> {
    Uid::effective().is_root().then(|| "postgres".to_owned())
}

fn settings(port: u16, durability: Durability) -> Vec<String> {
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        // The default folder for sockets is shared with the machine's own PostgreSQL.
        "unix_socket_directories=".to_owned(),
        "timezone=UTC".to_owned(),
        "max_connections=600".to_owned(),
        "shared_buffers=256MB".to_owned(),
        "min_wal_size=80MB".to_owned(),
        "max_wal_size=4GB".to_owned(),
        "checkpoint_timeout=15min".to_owned(),
        // What has left the outbox makes room for what comes: a busy minute, the default, leaves half a million dead rows.
        "autovacuum_naptime=15s".to_owned(),
        "log_line_prefix=%m [%p] %q%u@%d ".to_owned(),
    ];
    if durability == Durability::None {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
    }
    settings
}

/// The folder with the newest server programs of this machine.
pub(crate) fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let programs = entry.path().join("bin");
        programs.join("initdb").is_file().then_some((version, programs))
    });
    let newest = debian.max().map(|(_, programs)| programs);
    newest.or_else(|| paths::program("initdb")?.parent().map(Path::to_path_buf))
}

/// The client, which may be here without the server.
pub(crate) fn psql() -> Result<PathBuf> {
    let with_server = programs().map(|programs| programs.join("psql")).filter(|psql| psql.is_file());
    with_server.or_else(|| paths::program("psql")).context("psql is not installed: apt-get install postgresql-client")
}

/// PostgreSQL refuses to run as root, and its own user may not be able to reach a folder below root's home: then the
/// data lives elsewhere and a note in the stack's folder says where.
pub(crate) fn folder(dir: &Path) -> Result<PathBuf> {
    let here = paths::open_dir(&dir.join("postgres"))?;
    let Some(user) = user() else { return Ok(here) };
    let elsewhere = elsewhere_note(dir);
    if let Ok(path) = fs::read_to_string(&elsewhere)
        && Path::new(&path).is_dir()
    {
        return Ok(path.into());
    }
    if can_enter(&user, &here)? {
        return Ok(here);
    }
    let unique = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    let path = paths::open_dir(Path::new(&format!("/var/tmp/order-processing-postgres-{unique}")))?;
    fs::write(elsewhere, text(&path)?)?;
    Ok(path)
}

fn elsewhere_note(dir: &Path) -> PathBuf {
    dir.join("postgres-data-is-in")
}

/// The folders outside the stack's own, if PostgreSQL needed any.
pub(crate) fn elsewhere(dir: &Path) -> Vec<PathBuf> {
    let Ok(first) = fs::read_to_string(elsewhere_note(dir)).map(PathBuf::from) else { return Vec::new() };
    let folders = [standby::beside(&first), first];
    folders.into_iter().filter(|folder| folder.is_dir()).collect()
}

pub(crate) fn remove_data(dir: &Path) -> Result<()> {
    Ok(elsewhere(dir).iter().try_for_each(fs::remove_dir_all)?)
}

pub(crate) fn can_enter(user: &str, folder: &Path) -> Result<bool> {
    let mut test = as_user(Some(user), Path::new("test"));
    Ok(test.arg("-x").arg(folder).status()?.success())
}

/// Runs a program as this user, if not as ours.
pub(crate) fn as_user(user: Option<&str>, program: &Path) -> Command {
    let Some(user) = user else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--init-groups", "--"]).arg(program);
    command
}

/// Made beside its place and moved there, so that an interrupted start leaves nothing half-made.
fn create(programs: &Path, data: &Path, user: Option<&str>) -> Result<()> {
    let unfinished = data.with_extension("unfinished");
    if unfinished.is_dir() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir(&unfinished)?;
    let password = data.with_extension("password");
    fs::write(&password, PASSWORD)?;
    if let Some(user) = user {
        let owner = User::from_name(user)?.with_context(|| format!("there is no user {user}"))?;
        for path in [&unfinished, &password] {
            chown(path, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?;
        }
    }
    let mut initdb = as_user(user, &programs.join("initdb"));
    initdb.args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"]);
    // Whoever commits waits while the next file of the log is made, for 25 ms if it is of the usual size.
    initdb.arg("--wal-segsize=1");
    initdb.arg("--pwfile").arg(&password).arg("-D").arg(&unfinished);
    let output = initdb.env("LANG", "C.UTF-8").stdin(Stdio::null()).output()?;
    fs::remove_file(&password)?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(fs::rename(unfinished, data)?)
}

fn check_version(programs: &Path, data: &str) -> Result<()> {
    let output = Command::new(programs.join("postgres")).arg("--version").output()?;
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    let installed = version.split_whitespace().find_map(|word| word.split('.').next()?.parse::<u32>().ok());
    ensure!(
        installed.is_none_or(|installed| installed.to_string() == data),
        "the data was made by PostgreSQL {data}, and this is {}: --fresh starts anew",
        version.trim()
    );
    Ok(())
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).context("the path of the stack is not UTF-8")
}
