//! Two PostgreSQL servers: a primary, and a synchronous standby that has on its own disk whatever was answered.
//!
//! Which of them is the primary is told by a note, and by nothing else. A server that the note does not name takes no
//! writes: before it starts it is made a copy of the other one. So a primary that was replaced comes back as a standby.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::User;
use serde::{Deserialize, Serialize};

use crate::postgres;
use crate::probe::Probe;
use crate::process::Part;

/// Whether there is a second server.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Standby {
    #[default]
    None,
    Synchronous,
}

/// The servers, as `ps` lists them.
pub(crate) const SERVERS: [&str; 2] = ["postgres", "postgres-2"];

/// Starts a server in the role that it has by the note. Its arguments: name, name of the slot, note, data, the other
/// server's URL, and then what to run.
///
/// While it runs as the primary it holds a lock, whose file nobody closes: who has taken that lock and named another
/// server in the note knows that no primary is left. Who was the primary may have what the other one never had: it is taken
/// back to where they last were the same and follows from there. If the other one has no longer all that was written since,
/// or that is not possible, it is cloned anew.
const SCRIPT: &str = r#"
set -eu
name=$1 slot=$2 note=$3 data=$4 other=$5
shift 5
ask() { psql -XAtq -v ON_ERROR_STOP=1 -d "$other" "$@" 2>/dev/null; }
clone() {
    echo "cloning the primary"
    rm -rf "$data.unfinished"
    pg_basebackup --dbname="$other" --pgdata="$data.unfinished" --slot="$slot" --wal-method=stream --checkpoint=fast
    touch "$data.unfinished/standby.signal"
    rm -rf "$data"
    mv "$data.unfinished" "$data"
}
# What it has to go on from is in the file of the log that the label names; files are removed in their order, whatever
# timeline (the first eight digits of the name) they are of.
can_go_on() {
    next=$(sed -n 's/^START WAL LOCATION: .* (file \([0-9A-F]*\))$/\1/p' "$data/backup_label")
    [ -n "$next" ] && [ "$(ask -c "select min(substr(name, 9)) <= substr('$next', 9) from pg_ls_waldir()
        where name ~ '^[0-9A-F]{24}$'")" = t ]
}
exec 9<"$note.lock"
flock --shared 9
if [ "$(cat "$note")" = "$name" ] && [ ! -e "$data/standby.signal" ]; then
    exec "$@"
fi
exec 9<&-
make_slot="select pg_create_physical_replication_slot('$slot', true)
    where not exists (select from pg_replication_slots where slot_name = '$slot')"
if [ -e "$data/standby.signal" ]; then
    ask -c "$make_slot" >/dev/null || echo "the primary does not answer; waiting for it as a standby"
    exec "$@"
fi
echo "waiting for the primary"
# Whoever was promoted writes down only at a checkpoint that it was.
until [ "$(ask -c 'select pg_is_in_recovery()')" = f ] && ask -c checkpoint -c "$make_slot" >/dev/null; do
    sleep 0.2
done
if [ -e "$data/PG_VERSION" ] && pg_rewind --target-pgdata="$data" --source-server="$other" && can_go_on; then
    touch "$data/standby.signal"
else
    clone
fi
exec "$@"
"#;

/// Which server is the primary.
pub(crate) struct Note(PathBuf);

impl Note {
    /// The note of the stack in a folder.
    pub(crate) fn of(dir: &Path) -> Result<Self> {
        Ok(Self(postgres::folder(dir)?.join("primary")))
    }

    /// The primary and the other one.
    pub(crate) fn roles(&self) -> [&'static str; 2] {
        let [first, second] = SERVERS;
        match fs::read_to_string(&self.0) {
            Ok(primary) if primary == second => [second, first],
            _ => [first, second],
        }
    }

    /// From now on no other server becomes the primary.
    pub(crate) fn name(&self, primary: &str) -> Result<()> {
        let next = self.0.with_extension("next");
        fs::write(&next, primary)?;
        Ok(fs::rename(next, &self.0)?)
    }

    /// Whether nobody runs who was the primary when it started; while this is held nobody becomes it.
    pub(crate) fn take_lock(&self) -> Result<Option<Flock<File>>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.lock())?;
        Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok())
    }

    fn lock(&self) -> PathBuf {
        self.0.with_extension("lock")
    }
}

/// The folder of a server.
pub(crate) fn folder(dir: &Path, server: &str) -> Result<PathBuf> {
    let first = postgres::folder(dir)?;
    Ok(if server == SERVERS[0] { first } else { beside(&first) })
}

/// Where the second server is, given where the first one is.
pub(crate) fn beside(first: &Path) -> PathBuf {
    let mut name = first.file_name().unwrap_or_default().to_owned();
    name.push("-2");
    first.with_file_name(name)
}

/// A server and how it is reached.
pub(crate) struct Server {
    pub(crate) part: Part,
    pub(crate) port: u16,
    pub(crate) data: PathBuf,
}

/// Makes the two servers depend on each other, the primary first.
pub(crate) fn pair(dir: &Path, servers: [Server; 2]) -> Result<Vec<Part>> {
    let note = Note::of(dir)?;
    let [primary, _] = note.roles();
    note.name(primary)?;
    drop(note.take_lock()?);
    for server in &servers {
        give_to_postgres(&server.part.folder)?;
        if server.data.is_dir() {
            hold_to_standby(&server.data)?;
        }
    }
    let [first, second] = &servers;
    let urls = [second, first].map(|other| postgres::maintenance_url(other.port));
    let mut parts = Vec::new();
    for (server, other) in servers.into_iter().zip(urls) {
        parts.push(following(server, &note, &other)?);
    }
    parts.sort_by_key(|part| part.name != primary);
    parts[1].needs.push(primary.to_owned());
    Ok(parts)
}

/// The same server, which is a standby of the other one unless the note names it.
fn following(server: Server, note: &Note, other: &str) -> Result<Part> {
    let Server { mut part, data, .. } = server;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("the path of the stack is not UTF-8");
    let slot = part.name.replace('-', "_");
    let mut args = vec!["-c".to_owned(), SCRIPT.to_owned(), "sh".to_owned()];
    args.extend([part.name.clone(), slot.clone(), text(&note.0)?, text(&data)?, other.to_owned()]);
    args.push(text(&part.program)?);
    args.append(&mut part.args);
    let own = [
        format!("primary_conninfo={other}?application_name={}", part.name),
        format!("primary_slot_name={slot}"),
        // The disk that a standby may take which is away.
        "max_slot_wal_keep_size=4GB".to_owned(),
    ];
    args.extend(own.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
    let programs = part.program.parent().context("a program is in a folder")?.display().to_string();
    let path = std::env::var_os("PATH").unwrap_or_default();
    part.variables.push(("PATH".to_owned(), format!("{programs}:{}", path.to_string_lossy())));
    part.program = "sh".into();
    part.args = args;
    if let Probe::Bootstrapped { standby_of, .. } = &mut part.ready {
        *standby_of = Some(other.to_owned());
    }
    Ok(part)
}

/// What is not on the command line: an operator may want it otherwise (`alter system`), or `pg_rewind` needs it. No slot
/// keeps the log yet for who was the primary a moment ago; what a rewind needs goes back to the checkpoint before that.
fn hold_to_standby(data: &Path) -> Result<()> {
    let settings = data.join("postgresql.conf");
    let [first, second] = SERVERS;
    let lines = format!(
        "synchronous_standby_names = 'ANY 1 (\"{first}\", \"{second}\")'\nwal_log_hints = on\nwal_keep_size = 1GB\n"
    );
    if !fs::read_to_string(&settings)?.contains(&lines) {
        OpenOptions::new().append(true).open(&settings)?.write_all(lines.as_bytes())?;
    }
    Ok(())
}

fn give_to_postgres(folder: &Path) -> Result<()> {
    let Some(user) = postgres::user() else { return Ok(()) };
    let owner = User::from_name(&user)?.with_context(|| format!("there is no user {user}"))?;
    Ok(chown(folder, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?)
}

/// Alone, the first server would be out of date if the second one took over before.
pub(crate) fn ensure_first_is_primary(dir: &Path) -> Result<()> {
    let [primary, _] = Note::of(dir)?.roles();
    ensure!(primary == SERVERS[0], "{primary} has taken over in this stack: start it with --standby");
    Ok(())
}
