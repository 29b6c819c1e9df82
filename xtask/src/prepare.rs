//! `cargo xtask prepare`: renews `.sqlx`. Every query macro is expanded against a private database that has just been
//! migrated, as sqlx-cli does it, which therefore need not be installed. The compiler that expands them is clippy, so that
//! `cargo xtask check` compiles once for its lints and for this.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::background::{self, Life};
use crate::print;
use crate::stack::{Extent, Plan};
use crate::{install, paths, postgres, probe, services, signals};

/// Run it after a statement or a migration has changed, and commit `.sqlx`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only compare; fail if something differs or clippy has a warning
    #[arg(long)]
    check: bool,
    /// Make the committed statements those that later migrations must leave working
    #[arg(long, conflicts_with = "check")]
    release: bool,
}

/// Statements by the name of their file.
type Queries = BTreeMap<String, Value>;

/// What the services of the last release send.
pub(crate) const RELEASED: &str = "migrations/released.json";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.release {
        return release();
    }
    install::ensure_installed()?;
    let interruptions = signals::receive()?;
    let dir = paths::open_dir(&paths::target().join("prepare-stack"))?;
    Plan::for_tests(Extent::Database).save(&dir)?;
    let mut stack = background::start(&dir, Life::Ours, &[])?;
    let lints: &[&str] = if options.check { &["-D", "warnings"] } else { &[] };
    let generated = stack.wait_until_ready(&interruptions).and_then(|state| {
        migrate(&state.postgres)?;
        generate(&state.postgres, lints)
    });
    stack.stop()?;
    let generated = generated?;
    let committed = paths::root().join(".sqlx");
    if options.check { compare(&read(&committed)?, &read(&generated)?) } else { replace(&committed, &generated) }
}

/// Their text alone, since it is all that a running service has sent.
fn release() -> Result<ExitCode> {
    let statements = read(&paths::root().join(".sqlx"))?;
    let statements: Vec<_> = statements.values().map(|description| &description["query"]).collect();
    let file = paths::root().join(RELEASED);
    fs::write(&file, serde_json::to_string_pretty(&statements)? + "\n")?;
    print::out(format_args!("{} statements  {}", statements.len(), file.display()));
    Ok(ExitCode::SUCCESS)
}

/// Runs the migrations of every schema as its owner.
fn migrate(superuser: &str) -> Result<()> {
    let psql = postgres::programs().context("PostgreSQL is not installed")?.join("psql");
    for schema in ["orders", "payments", "sandbox"] {
        let url = services::owner_url(schema, superuser);
        // What sqlx makes first.
        let bookkeeping = format!("create table {schema}._sqlx_migrations ()");
        probe::psql_output(&psql, &url, &["-c", &bookkeeping])?;
        for file in migrations(&paths::root().join("migrations").join(schema))? {
            let path = file.to_str().context("the path of the repository is not UTF-8")?;
            probe::psql_output(&psql, &url, &["-1", "-f", path]).with_context(|| format!("{path} fails"))?;
        }
    }
    Ok(())
}

/// In the order of their numbers.
fn migrations(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut numbered = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let number = name.split('_').next().unwrap_or_default().parse::<u64>();
            numbered.push((number.with_context(|| format!("{name} has no number"))?, path));
        }
    }
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}

/// Lints everything with the macros asking the database; returns the folder with what they wrote.
fn generate(database: &str, lints: &[&str]) -> Result<PathBuf> {
    let queries = paths::target().join("prepare-queries");
    if queries.is_dir() {
        fs::remove_dir_all(&queries)?;
    }
    fs::create_dir_all(&queries)?;
    // A macro is expanded only when its crate is compiled, so ours must not be taken from an earlier run: clippy does
    // them, and only them, again when its arguments change.
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let mut clippy = paths::cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--all-features", "--"]).args(lints);
    clippy.arg(format!("--cfg=prepare=\"{run}\""));
    clippy.env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", &queries).env("DATABASE_URL", database);
    ensure!(clippy.status()?.success(), "the workspace is not sound, or does not fit the migrated database");
    Ok(queries)
}

fn read(folder: &Path) -> Result<Queries> {
    let mut queries = Queries::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("query-") && path.extension().is_some_and(|extension| extension == "json") {
            queries.insert(name, serde_json::from_slice(&fs::read(&path)?)?);
        }
    }
    Ok(queries)
}

fn compare(committed: &Queries, generated: &Queries) -> Result<ExitCode> {
    let names = committed.keys().chain(generated.keys());
    let mut differing: Vec<_> = names.filter(|name| committed.get(*name) != generated.get(*name)).collect();
    differing.sort();
    differing.dedup();
    if differing.is_empty() {
        print::out(format_args!(".sqlx is up to date ({} statements)", generated.len()));
        return Ok(ExitCode::SUCCESS);
    }
    for name in &differing {
        let what = match (committed.get(*name), generated.get(*name)) {
            (None, _) => "missing",
            (_, None) => "no longer used",
            _ => "out of date",
        };
        print::out(format_args!("  {name}: {what}"));
    }
    bail!(".sqlx is not up to date: `cargo xtask prepare` renews it")
}

fn replace(committed: &Path, generated: &Path) -> Result<ExitCode> {
    let (before, after) = (read(committed)?, read(generated)?);
    fs::create_dir_all(committed)?;
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        fs::remove_file(committed.join(name))?;
    }
    // An unchanged file is left alone, so that nothing is compiled again because of it.
    let changed: Vec<_> = after.iter().filter(|(name, query)| before.get(*name) != Some(*query)).collect();
    for (name, _) in &changed {
        fs::copy(generated.join(name), committed.join(name))?;
    }
    print::out(format_args!(".sqlx holds {} statements; {} changed", after.len(), changed.len()));
    Ok(ExitCode::SUCCESS)
}
