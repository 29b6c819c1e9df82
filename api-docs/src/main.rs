//! Writes the documents of the API: `cargo xtask docs` and `cargo xtask check` run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use api_docs::breaking;
use clap::Parser;

/// Writes the documents of the API.
#[derive(Parser)]
struct Options {
    /// Where they are
    folder: PathBuf,
    /// Only compare; fail if something differs, or breaks what was released
    #[arg(long)]
    check: bool,
    /// Make them what later ones are compared with, whatever they break
    #[arg(long, conflicts_with = "check")]
    release: bool,
}

/// The documents that clients are written against.
const PROMISES: [&str; 2] = ["openapi.json", "asyncapi.json"];

fn main() -> Result<ExitCode> {
    let Options { folder, check, release } = Options::parse();
    let files = api_docs::files()?;
    let mut is_broken = false;
    for promise in PROMISES {
        let (released, now) = (released().join(promise), &files[&format!("api/{promise}")]);
        if release {
            write(&released, now)?;
        }
        let released = fs::read(&released).with_context(|| format!("{promise} was never released"))?;
        for change in breaking::changes(&serde_json::from_slice(&released)?, &serde_json::from_slice(now)?) {
            println!("breaks what was released: {promise}: {change}");
            is_broken = true;
        }
    }
    let mut differing = Vec::new();
    for (name, content) in files {
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
    Ok(if check && (is_broken || !differing.is_empty()) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn released() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("released")
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
    fs::write(path, content).with_context(|| format!("{} cannot be written", path.display()))
}
