//! What the figures were measured on.

use std::fs;
use std::process::Command;

use crate::{paths, postgres};

/// A list in Markdown.
pub(crate) fn description() -> String {
    let processor = of_file("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let cores = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = cores.lines().filter(|line| line.starts_with("processor")).count();
    let memory = of_file("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let memory =
        memory.map_or_else(|| "unknown".to_owned(), |kibibytes| format!("{} GiB", (kibibytes + 524_288) >> 20));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let postgres = postgres::programs().map(|programs| programs.join("postgres"));
    let postgres = postgres.and_then(|program| first_line(Command::new(program).arg("--version")));
    let nginx = paths::program("nginx").and_then(|program| first_line(Command::new(program).arg("-v")));
    let rustc = first_line(Command::new("rustc").arg("--version").current_dir(paths::root()));
    let mut git = Command::new("git");
    let commit = first_line(git.args(["describe", "--always", "--dirty"]).current_dir(paths::root()));
    let programs = [postgres, nginx, rustc].into_iter().flatten().collect::<Vec<_>>().join(", ");
    format!(
        "- machine: {cores} x {processor}, {memory}, Linux {}\n- programs: {programs}\n- commit: {}\n",
        kernel.trim(),
        commit.as_deref().unwrap_or("unknown"),
    )
}

/// The value behind the first `name : value` of a file.
fn of_file(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = pairs.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
    values.next()
}

/// nginx tells its version on the other stream.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let told = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&told).lines().next().map(str::to_owned)
}
