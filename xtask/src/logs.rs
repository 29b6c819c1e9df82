//! `cargo xtask logs NAME`: what a process has written, and goes on writing.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::background;
use crate::paths::StackDir;

/// Logs of the present run, or of the last one.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A name that `ps` lists, or `gateway-access`, or `supervisor`
    name: String,
    /// Go on printing what is added
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    dir: StackDir,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let dir = options.dir.open()?;
    let path = match options.name.as_str() {
        "supervisor" => background::log(&dir),
        name => dir.join("log").join(format!("{name}.log")),
    };
    let Ok(mut log) = File::open(&path) else { bail!("there is no log of that name; there are: {}", names(&dir)) };
    loop {
        // A reader such as `head` may close the pipe early.
        let read_on = copy(&mut log).is_ok() && options.follow;
        if !read_on {
            return Ok(ExitCode::SUCCESS);
        }
        thread::sleep(Duration::from_millis(200));
        // It starts anew with each run of the stack.
        if log.metadata()?.len() < log.stream_position()? {
            log.seek(SeekFrom::Start(0))?;
        }
    }
}

fn copy(log: &mut File) -> Result<()> {
    let mut text = Vec::new();
    log.read_to_end(&mut text)?;
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    Ok(out.flush()?)
}

fn names(dir: &Path) -> String {
    let files = fs::read_dir(dir.join("log")).into_iter().flatten().flatten();
    let mut names: Vec<_> = files.filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    if names.is_empty() { "none yet".to_owned() } else { names.join(", ") }
}
