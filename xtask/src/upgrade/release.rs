//! The release before: which commit that is, and its services, built in a worktree that is kept for the next time.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{paths, prepare, print, services};

/// A version of the services.
pub(crate) struct Release {
    /// For people.
    pub(crate) name: String,
    /// The folder with the services.
    pub(crate) binaries: PathBuf,
    /// Its roles and schemas.
    pub(crate) bootstrap: PathBuf,
}

/// Builds the services of a commit below a folder; of the last release, if none is named.
pub(crate) fn build(home: &Path, commit: Option<&str>) -> Result<Release> {
    let root = paths::root();
    let commit = match commit {
        Some(commit) => commit.to_owned(),
        None => last_released(&root)?,
    };
    let commit = git(&root, &["rev-parse", "--verify", &format!("{commit}^{{commit}}")])?;
    let name = git(&root, &["log", "-1", "--format=%h %s", &commit])?;
    print::out(format_args!("building the services of {name}"));
    let source = home.join("source");
    check_out(&root, &source, &commit)?;
    let target = home.join("target");
    let mut cargo = paths::cargo();
    cargo.current_dir(&source).env("CARGO_TARGET_DIR", &target).env("SQLX_OFFLINE", "true");
    cargo.args(["build", "--locked", "--package", services::ORDERS, "--package", services::PAYMENTS]);
    ensure!(cargo.status()?.success(), "the services of {name} cannot be built");
    Ok(Release { name, binaries: target.join("debug"), bootstrap: source.join("migrations/bootstrap.sql") })
}

/// The newest tag or, as long as there is none, the commit from which on migrations have to leave the statements working.
/// This commit itself may be a release already.
fn last_released(root: &Path) -> Result<String> {
    let before = "HEAD^";
    if let Ok(tag) = git(root, &["describe", "--tags", "--abbrev=0", before]) {
        return Ok(tag);
    }
    let commit = git(root, &["log", "-1", "--format=%H", before, "--", prepare::RELEASED])?;
    ensure!(!commit.is_empty(), "nothing was released before this commit: --from names another one");
    Ok(commit)
}

/// Files that do not differ are left alone, so that they are not compiled again.
fn check_out(root: &Path, source: &Path, commit: &str) -> Result<()> {
    if source.join(".git").exists() {
        return git(source, &["checkout", "--quiet", "--force", "--detach", commit]).map(drop);
    }
    let folder = source.to_str().context("the path of the repository is not UTF-8")?;
    // By force, since `cargo clean` may have taken an earlier one away, which git still knows of.
    git(root, &["worktree", "add", "--quiet", "--force", "--detach", folder, commit]).map(drop)
}

/// What git answers.
fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").current_dir(folder).args(arguments).output().context("git is not installed")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {}", arguments.join(" "), complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
