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
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<usize>,
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
    if let Some(lines) = options.tail {
        log.seek(SeekFrom::Start(start_of_last(lines, &fs::read(&path)?)))?;
    }
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

/// Where the last lines of a text begin.
fn start_of_last(lines: usize, text: &[u8]) -> u64 {
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let starts: Vec<_> = std::iter::once(0).chain(ends.filter(|start| *start < text.len())).collect();
    starts[starts.len().saturating_sub(lines)..].first().map_or(text.len(), |start| *start) as u64
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found_whether_or_not_the_last_has_ended() {
        for (lines, text, last) in
            [(1, "a\nb\n", "b\n"), (2, "a\nb\nc", "b\nc"), (9, "a\nb\n", "a\nb\n"), (0, "a\n", ""), (3, "", "")]
        {
            let start = usize::try_from(start_of_last(lines, text.as_bytes())).expect("a short text");
            assert_eq!(&text[start..], last, "the last {lines} of {text:?}");
        }
    }
}
