//! The programs a stack needs, and their installation from Debian where we may.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Uid;

use crate::print;
use crate::{paths, postgres, rabbitmq};

/// Installs without starting anything: neither the daemons of these packages nor a default cluster, now or at the next
/// start of the machine. Packages are the script's arguments.
const SCRIPT: &str = r#"
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/order-processing.conf
mine=
clean() { rm -f "$cluster"; if [ "$mine" ]; then rm -f "$policy"; fi; }
trap clean EXIT
trap 'exit 130' INT TERM HUP
if [ ! -e "$policy" ]; then
    mine=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
mkdir -p "${cluster%/*}"
echo 'create_main_cluster = false' >"$cluster"
apt-get update -qq || true
apt-get install -y -qq --no-install-recommends "$@"
if [ -d /run/systemd/system ]; then
    for package in "$@"; do systemctl disable -q "$package" 2>/dev/null || true; done
fi
"#;

/// Makes sure that PostgreSQL, RabbitMQ and nginx are there.
pub(crate) fn ensure_installed() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)?;
    let still_missing = self::missing();
    ensure!(still_missing.is_empty(), "still missing: {}", still_missing.join(" "));
    Ok(())
}

/// The library that lets the clock of one process go wrong, installed if need be. Without it other faults still happen.
pub(crate) fn clock_shifter() -> Option<PathBuf> {
    let find = || {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
        folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.is_file())
    };
    find().or_else(|| {
        if let Err(problem) = install(&["libfaketime"]) {
            print::err(format_args!("{problem:#}"));
        }
        find()
    })
}

/// What asks as fast as it is answered, installed if need be.
pub(crate) fn load_generator() -> Result<PathBuf> {
    let find = || paths::program("wrk");
    if find().is_none() {
        install(&["wrk"])?;
    }
    find().context("wrk is missing")
}

/// What checks and tests alert rules, installed if need be.
pub(crate) fn promtool() -> Result<PathBuf> {
    of_prometheus("promtool")
}

/// What evaluates them, installed if need be.
pub(crate) fn prometheus() -> Result<PathBuf> {
    of_prometheus("prometheus")
}

fn of_prometheus(name: &str) -> Result<PathBuf> {
    ensure_programs(&[(name, "prometheus")])?;
    paths::program(name).with_context(|| format!("{name} is missing"))
}

/// Makes sure that Python can make an environment of its own.
pub(crate) fn python() -> Result<()> {
    let is_there = quiet(Path::new("python3"), &["-c", "import ensurepip, venv"]);
    if is_there { Ok(()) } else { install(&["python3-venv"]) }
}

/// Makes sure that the console can be built.
pub(crate) fn node() -> Result<()> {
    ensure_programs(&[("node", "nodejs"), ("npm", "npm")])
}

/// Makes sure that there is a browser for the tests of the console.
pub(crate) fn browser() -> Result<()> {
    ensure_programs(&[("chromium", "chromium")])
}

/// Makes sure that there is a pooler for the tests that go through one.
pub(crate) fn pooler() -> Result<()> {
    ensure_programs(&[("pgbouncer", "pgbouncer")])
}

/// Of these programs, installs the packages of those that are not there.
fn ensure_programs(needed: &[(&str, &'static str)]) -> Result<()> {
    let missing = needed.iter().filter(|(program, _)| paths::program(program).is_none());
    let packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() { Ok(()) } else { install(&packages) }
}

fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    let by_hand = format!("sudo apt-get install --no-install-recommends {list}");
    let Some(mut shell) = privileged_shell() else {
        bail!("missing here: {list}. This installs it:\n  {by_hand}");
    };
    print::out(format_args!("installing {list} with apt"));
    shell.args(["-c", SCRIPT, "sh"]).args(packages).stdin(Stdio::null());
    ensure!(shell.status()?.success(), "apt-get has failed; by hand it is:\n  {by_hand}");
    Ok(())
}

/// Debian's names of what is not there.
fn missing() -> Vec<&'static str> {
    let needed: [(&str, Option<PathBuf>); 4] = [
        ("postgresql", postgres::programs()),
        ("rabbitmq-server", rabbitmq::server()),
        ("nginx", paths::program("nginx")),
        ("util-linux", paths::program("setpriv")),
    ];
    needed.into_iter().filter(|(_, found)| found.is_none()).map(|(package, _)| package).collect()
}

/// A shell that may install packages without asking anybody.
fn privileged_shell() -> Option<Command> {
    paths::program("apt-get")?;
    if Uid::effective().is_root() {
        return Some(Command::new("sh"));
    }
    let sudo = paths::program("sudo")?;
    let allowed = quiet(&sudo, &["-n", "true"]);
    allowed.then(|| {
        let mut command = Command::new(sudo);
        command.args(["-n", "sh"]);
        command
    })
}

fn quiet(program: &Path, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
