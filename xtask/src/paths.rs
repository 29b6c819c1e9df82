//! Where things are: the repository, cargo's target folder, the folder of a stack, programs of this machine.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context, Result};

/// The folder of a stack, as an option of every command that deals with one.
#[derive(clap::Args)]
pub(crate) struct StackDir {
    /// Folder of the stack: its data, logs and state [default: target/stack]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

impl StackDir {
    /// Creates the folder if need be; its path is absolute and without links, as the kernel reports it for processes.
    pub(crate) fn open(&self) -> Result<PathBuf> {
        open_dir(&self.dir.clone().unwrap_or_else(|| target().join("stack")))
    }
}

/// A command for the stack in this folder, as it is typed.
pub(crate) fn command(what: &str, dir: &Path) -> String {
    let is_default = target().join("stack").canonicalize().is_ok_and(|default| default == dir);
    let dir = if is_default { String::new() } else { format!(" --dir {}", dir.display()) };
    format!("`cargo xtask {what}{dir}`")
}

pub(crate) fn open_dir(dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir.canonicalize()?)
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest).parent().map_or_else(|| ".".into(), Path::to_path_buf)
}

/// Cargo's target folder for this repository.
pub(crate) fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Cargo itself, run at the root of the repository.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.current_dir(root());
    cargo
}

/// The program that runs here, even if a newer build has taken its place on the disk.
pub(crate) fn ourselves() -> PathBuf {
    let on_disk = env::current_exe().ok().filter(|path| path.is_file());
    on_disk.unwrap_or_else(|| format!("/proc/{}/exe", process::id()).into())
}

/// A program on the PATH, or where Debian keeps those for administrators.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}
