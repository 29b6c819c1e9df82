//! Writes the documents of the API: `cargo xtask docs` and `cargo xtask check` run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

/// Writes the documents of the API.
#[derive(Parser)]
struct Options {
    /// Where they are
    folder: PathBuf,
    /// Only compare; fail if something differs
    #[arg(long)]
    check: bool,
}

fn main() -> Result<ExitCode> {
    let Options { folder, check } = Options::parse();
    let mut differing = Vec::new();
    for (name, content) in api_docs::files()? {
        let path = folder.join(&name);
        if fs::read(&path).ok().as_ref() != Some(&content) {
            if !check {
                write(&path, &content)?;
            }
            differing.push(name);
        }
    }
    let what = match (differing.is_empty(), check) {
        (true, _) => "the documents of the API are up to date".to_owned(),
        (false, true) => format!("not up to date, `cargo xtask docs` renews them: {}", differing.join(", ")),
        (false, false) => format!("written: {}", differing.join(", ")),
    };
    println!("{what}");
    Ok(if check && !differing.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
    fs::write(path, content).with_context(|| format!("{} cannot be written", path.display()))
}
