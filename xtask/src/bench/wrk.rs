//! Load from `wrk`, as fast as it is answered or at a fixed rate: a known tool that costs little of the cores it shares with
//! the system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

const REPORT: &str = include_str!("report.lua");
const PACE: &str = include_str!("pace.lua");
/// Longer than a service lets a request wait.
const TIMEOUT: &str = "20s";

/// What to ask for.
#[derive(Clone, Copy)]
pub(crate) enum Script<'a> {
    Create,
    Saga,
    /// The requests of a file, a path and a token on each line.
    Read(&'a Path),
}

/// How fast to ask.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// Each connection as soon as it was answered.
    Unlimited,
    /// So many requests a second, at random moments, as long as there is a connection for each.
    PerSecond(f64),
}

/// The generator, and where it may write.
pub(crate) struct Wrk {
    pub(crate) program: PathBuf,
    pub(crate) dir: PathBuf,
}

/// What came of a load. Times are in microseconds.
#[derive(Debug, Deserialize)]
pub(crate) struct Outcome {
    duration: f64,
    /// With any status.
    pub(crate) answers: u64,
    /// With a status of 400 and more.
    pub(crate) refusals: u64,
    /// Connections that broke, answers that did not come.
    pub(crate) failures: u64,
    /// As the script of sagas counts.
    pub(crate) created: u64,
    pub(crate) paid: u64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Script<'_> {
    fn text(self) -> &'static str {
        match self {
            Self::Create => include_str!("create.lua"),
            Self::Saga => include_str!("saga.lua"),
            Self::Read(_) => include_str!("read.lua"),
        }
    }
}

impl Pace {
    fn text(self) -> String {
        match self {
            Self::Unlimited => String::new(),
            Self::PerSecond(rate) => format!("local per_second = {rate}\n{PACE}"),
        }
    }
}

impl Wrk {
    pub(crate) fn run(
        &self,
        gateway: &str,
        script: Script,
        pace: Pace,
        connections: u32,
        length: Duration,
    ) -> Result<Outcome> {
        let file = self.dir.join("load.lua");
        fs::write(&file, [script.text(), &pace.text(), REPORT].join("\n"))?;
        let mut command = Command::new(&self.program);
        command.args(["-t1", &format!("-c{connections}"), &format!("-d{}s", length.as_secs()), "--timeout", TIMEOUT]);
        command.arg("-s").arg(&file).arg(gateway);
        if let Script::Read(requests) = script {
            command.arg("--").arg(requests);
        }
        let output = command.stdin(Stdio::null()).output().context("cannot run wrk")?;
        let told = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "wrk has failed: {told}{}", String::from_utf8_lossy(&output.stderr));
        let report = told.lines().find(|line| line.starts_with('{'));
        let report = report.with_context(|| format!("wrk does not tell what came of it: {told}"))?;
        serde_json::from_str(report).with_context(|| format!("wrk tells what cannot be read: {report}"))
    }
}

impl Outcome {
    /// What was granted.
    pub(crate) fn granted(&self) -> u64 {
        self.answers - self.refusals
    }

    pub(crate) fn granted_per_second(&self) -> f64 {
        self.per_second(self.granted())
    }

    pub(crate) fn paid_per_second(&self) -> f64 {
        self.per_second(self.paid)
    }

    #[expect(clippy::cast_precision_loss, reason = "no run has so many answers")]
    fn per_second(&self, count: u64) -> f64 {
        count as f64 * 1_000_000.0 / self.duration
    }

    /// In milliseconds: p50, p90, p99 and the longest.
    pub(crate) fn latencies(&self) -> [(&'static str, f64); 4] {
        [("p50", self.p50), ("p90", self.p90), ("p99", self.p99), ("max", self.max)]
            .map(|(name, time)| (name, time / 1000.0))
    }
}
