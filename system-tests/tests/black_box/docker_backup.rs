//! `backup/backup.sh`, which `docker-compose.backup.yml` runs in containers: here beside a stack without any.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use uuid::Uuid;

use crate::client::User;
use crate::database;
use crate::own_stack::OwnStack;
use crate::polling::eventually;
use crate::restore::moment_after;

const SCRIPT: &str = include_str!("../../../backup/backup.sh");
const ROLE: &str = include_str!("../../../backup/role.sql");

#[test]
fn what_was_streamed_is_restored_to_a_moment_and_to_its_end() {
    let stack = OwnStack::start("streamed-stack", 1);
    let (user, postgres) = (User::demo().at(&stack.now().gateway), stack.now().postgres);
    let (backup, _stream) = Backup::streamed_from(&postgres);

    let place = |count: usize| {
        for _ in 0..count {
            user.place_order();
        }
    };
    place(3);
    let made = backup.run("make", &[]);
    place(2);
    let moment = moment_after(&postgres);
    place(1);
    backup.has_all();
    drop(stack);

    assert_eq!(backup.orders_after_restore(&[&moment]), 5);
    assert_eq!(backup.orders_after_restore(&[]), 6);
    let kept = made.trim().strip_prefix("base/").and_then(|made| made.strip_suffix(" is complete"));
    let kept = kept.unwrap_or_else(|| panic!("{made}"));
    backup.run("forget", &["1"]);
    assert_eq!(backup.kept(), [kept], "only the last is left");
    assert_eq!(backup.orders_after_restore(&[&moment]), 5);
}

#[test]
fn backups_that_are_made_within_one_second_have_names_of_their_own() {
    let stack = OwnStack::start("hurried-stack", 1);
    let postgres = stack.now().postgres;
    let (backup, _stream) = Backup::streamed_from(&postgres);
    let second_in = |seconds| {
        let time = format!("now() at time zone 'UTC' + interval '{seconds} s'");
        database::text(&postgres, &format!("select to_char({time}, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"))
    };
    let taken: Vec<_> = (0..5).map(second_in).collect();
    for second in &taken {
        backup.folder(&format!("archive/base/{second}/kept"));
    }
    let made = backup.run("make", &[]);
    assert!(!taken.iter().any(|second| made.contains(second)), "{made}: {taken:?}");
}

#[test]
fn nothing_is_restored_over_a_database_or_to_a_moment_that_is_not_known() {
    let stack = OwnStack::start("guarded-stack", 1);
    let (backup, _stream) = Backup::streamed_from(&stack.now().postgres);
    let data = backup.folder("data");
    for (time, complaint) in [
        ("2026-01-31", "the time has to be written as 2026-01-31T23:59:59Z"),
        ("2020-01-31T23:59:59Z", "there is no backup from before that"),
        ("2100-01-31T23:59:59Z", "nothing was written after that time"),
    ] {
        let refused = backup.command("restore").arg(time).env("PGDATA", &data).output().expect("the script can be run");
        assert!(!refused.status.success() && text(&refused.stderr).contains(complaint), "{time}: {refused:?}");
        assert_eq!(fs::read_dir(&data).expect("the folder").count(), 0, "{time}: it is left as it was");
    }
    fs::write(data.join("PG_VERSION"), "15\n").expect("the folder can be written to");
    let refused = backup.command("restore").env("PGDATA", &data).output().expect("the script can be run");
    assert!(text(&refused.stderr).contains("there is a database already"), "{refused:?}");
}

#[test]
fn the_login_of_the_archive_copies_the_server_and_can_do_nothing_in_it() {
    let stack = OwnStack::start("copied-stack", 1);
    let postgres = stack.now().postgres;
    Backup::of(&postgres).run("role", &[]);
    let (_, server) = postgres.split_once('@').expect("an address with a login");
    let archive = format!("postgres://archive:archive-demo-password@{server}");
    // insufficient_privilege
    let refused = Some("42501".to_owned());
    // It does not even get into the database of the services.
    assert_eq!(database::refusal(&archive, "select 1"), refused);
    let elsewhere = database::sibling(&archive, "postgres");
    assert_eq!(database::refusal(&elsewhere, "select 1"), None);
    for statement in [
        "create table planted ()",
        "create temporary table planted ()",
        "create schema planted",
        "create database planted",
        "create role planted",
        "drop database order_processing",
        "drop role orders_service",
        "insert into pg_catalog.pg_class default values",
        "set role postgres",
        "set role orders_owner",
        "set role pg_read_all_data",
        "set session authorization postgres",
        "grant pg_write_all_data to archive",
        "alter role archive superuser",
        "alter system set archive_mode = off",
        "select rolpassword from pg_authid",
        "select pg_read_file('/etc/passwd')",
        "copy (select 1) to program 'true'",
        "select pg_switch_wal()",
        "select pg_promote()",
    ] {
        assert_eq!(database::refusal(&elsewhere, statement), refused, "{statement}");
    }
}

/// A folder that a server is archived to; removed with all that is in it when it is dropped.
struct Backup {
    dir: PathBuf,
    postgres: String,
}

/// Ended when it is dropped.
struct Stream(Child);

impl Backup {
    fn of(postgres: &str) -> Self {
        // PostgreSQL's own user has to get there.
        let dir = Path::new("/var/tmp").join(format!("order-processing-backup-{}", Uuid::new_v4()));
        let backup = Self { dir, postgres: postgres.to_owned() };
        for name in ["bin", "archive", "tmp"] {
            fs::set_permissions(backup.folder(name), fs::Permissions::from_mode(0o1777)).expect("the folder is ours");
        }
        for (name, content, mode) in [("backup", SCRIPT, 0o755), ("role.sql", ROLE, 0o644)] {
            let file = backup.dir.join("bin").join(name);
            fs::write(&file, content).expect("the file can be written");
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("the file is ours");
        }
        backup
    }

    /// The same, with all that the server writes on its way there.
    #[track_caller]
    fn streamed_from(postgres: &str) -> (Self, Stream) {
        let backup = Self::of(postgres);
        backup.run("role", &[]);
        let stream = backup.stream();
        backup.is_streaming();
        (backup, stream)
    }

    /// Made if it is not there.
    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.dir.join(name);
        fs::create_dir_all(&folder).expect("the folder can be made");
        folder
    }

    /// As in the containers: only `role` is told who the superuser is.
    fn command(&self, what: &str) -> Command {
        let address = self.postgres.strip_prefix("postgres://postgres:").and_then(|rest| rest.split_once('@'));
        let (password, server) = address.expect("the superuser's address");
        let (host, port) = server.split_once('/').and_then(|(server, _)| server.split_once(':')).expect("a port");
        let path = format!("{}:{}:/usr/bin:/bin", self.dir.join("bin").display(), programs().display());
        let mut command = Command::new(self.dir.join("bin/backup"));
        command.env_clear().env("PATH", path).arg(what);
        command.env("BACKUP_FOLDER", self.dir.join("archive")).env("TMPDIR", self.dir.join("tmp"));
        command.env("PGHOST", host).env("PGPORT", port).env("PGDATABASE", "postgres");
        command.env("ARCHIVE_PASSWORD", "archive-demo-password");
        if what == "role" {
            command.env("PGUSER", "postgres").env("POSTGRES_PASSWORD", password);
        } else {
            command.env("PGUSER", "archive");
        }
        command
    }

    /// What it prints.
    #[track_caller]
    fn run(&self, what: &str, arguments: &[&str]) -> String {
        finished(&self.command(what).args(arguments).output().expect("the script can be run"))
    }

    fn stream(&self) -> Stream {
        let mut command = self.command("stream");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Stream(child.expect("the script can be run"))
    }

    #[track_caller]
    fn is_streaming(&self) {
        eventually("it is streamed", || {
            let asked = self.command("is-streaming").output().expect("the script can be run");
            if asked.status.success() { Ok(()) } else { Err(text(&asked.stderr)) }
        });
    }

    /// Waits until all that was written is in the folder.
    #[track_caller]
    fn has_all(&self) {
        let written = database::text(&self.postgres, "select pg_current_wal_lsn()::text");
        let has_it = format!(
            "select (count(*) = 1)::text from pg_stat_replication
             where application_name = 'pg_receivewal' and flush_lsn >= '{written}'"
        );
        eventually("all that was written is streamed", || match database::text(&self.postgres, &has_it).as_str() {
            "true" => Ok(()),
            other => Err(other.to_owned()),
        });
    }

    /// The names of the backups.
    fn kept(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.join("archive/base")).expect("there are backups");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a time")).collect()
    }

    /// How many there are in a database that is made of the archive with these arguments.
    #[track_caller]
    fn orders_after_restore(&self, arguments: &[&str]) -> usize {
        let data = self.folder(&Uuid::new_v4().to_string());
        finished(
            &self.command("restore").args(arguments).env("PGDATA", &data).output().expect("the script can be run"),
        );
        let mut single = as_owner_of(&data, &programs().join("postgres"));
        single.args(["--single", "-D"]).arg(&data).args(["-c", "shared_preload_libraries=", "order_processing"]);
        let mut server = single
            .current_dir("/")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("PostgreSQL");
        let question = server.stdin.take().expect("it is piped");
        (&question).write_all(b"select count(*) from orders.orders\n").expect("it is asked");
        drop(question);
        let answer = finished(&server.wait_with_output().expect("it ends"));
        let count = answer.split("count = \"").nth(1).and_then(|rest| rest.split('"').next());
        count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        // What cannot be removed is left to the system, like all below /var/tmp.
        drop(fs::remove_dir_all(&self.dir));
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        drop(self.0.kill().and_then(|()| self.0.wait()));
    }
}

/// A program of PostgreSQL runs as nobody else.
fn as_owner_of(folder: &Path, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    let uid = |path: &Path| fs::metadata(path).expect("it is there").uid();
    let owner = uid(folder);
    if owner != uid(Path::new("/proc/self")) {
        command.arg(format!("--reuid={owner}")).arg("--clear-groups");
    }
    command.arg("--").arg(program);
    command
}

/// Where the newest PostgreSQL has its programs.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed as Debian does it");
    let versions = versions.filter_map(|version| version.ok()?.file_name().into_string().ok()?.parse::<u32>().ok());
    let newest = versions.max().expect("there is a version");
    Path::new("/usr/lib/postgresql").join(newest.to_string()).join("bin")
}

#[track_caller]
fn finished(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
