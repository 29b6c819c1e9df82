//! `cargo xtask alerts`: Prometheus on a running stack, with the rules of `observability/`. Tells which alerts come and go.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::paths::StackDir;
use crate::services::{ORDERS, PAYMENTS};
use crate::state::{self, State};
use crate::{install, paths, print, signals};

/// What docker-compose runs, but for where the services are.
const CONFIGURATION: &str = "observability/prometheus.yml";
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Until Ctrl-C. What to do about each alert is in `RUNBOOK.md`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    dir: StackDir,
    /// Port of Prometheus, on this machine only
    #[arg(long, value_name = "PORT", default_value_t = 9090)]
    port: u16,
}

/// An alert that is pending or firing, as Prometheus tells it.
#[derive(Clone, Deserialize)]
struct Alert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    state: String,
}

/// By their labels.
type Alerts = BTreeMap<BTreeMap<String, String>, Alert>;

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let program = install::prometheus()?;
    let signals = signals::receive()?;
    let dir = options.dir.open()?;
    let running = state::running(&dir)?.with_context(|| format!("nothing runs in {}", dir.display()))?;
    let home = paths::open_dir(&dir.join("prometheus"))?;
    fs::write(home.join("prometheus.yml"), configuration(&running)?)?;
    let mut prometheus = start(&program, &home, options.port)?;
    let address = format!("http://127.0.0.1:{}", options.port);
    print::out(format_args!("Prometheus is at {address}; Ctrl-C ends it"));
    let outcome = tell(&address, &mut prometheus, &signals);
    // It may have ended already.
    let _ = nix::sys::signal::kill(Pid::from_raw(prometheus.id().cast_signed()), Signal::SIGTERM);
    prometheus.wait()?;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// That of docker-compose with the ports of a native stack. JSON is YAML.
fn configuration(running: &State) -> Result<String> {
    let file = paths::root().join(CONFIGURATION);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let (general, _) = text.split_once("scrape_configs:").context("Prometheus is configured in another way")?;
    let rules = file.with_file_name("alerts.yml");
    let general = general.replace("- alerts.yml", &format!("- {}", rules.display()));
    Ok(format!("{general}scrape_configs: {}\n", json!([ORDERS, PAYMENTS].map(|service| scraped(running, service)))))
}

fn scraped(running: &State, service: &str) -> Value {
    let replicas = running.processes.iter().filter(|process| process.name.starts_with(service));
    let targets = replicas.filter_map(|process| process.ports.get(1)).map(|port| format!("127.0.0.1:{port}"));
    json!({"job_name": service, "static_configs": [{"targets": targets.collect::<Vec<_>>()}]})
}

fn start(program: &Path, home: &Path, port: u16) -> Result<Child> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--", "env", signals::UNBLOCK]).arg(program);
    command.arg("--config.file").arg(home.join("prometheus.yml"));
    command.arg("--storage.tsdb.path").arg(home.join("data"));
    command.args(["--web.listen-address", &format!("127.0.0.1:{port}"), "--log.level", "warn"]);
    command.stdin(Stdio::null()).spawn().context("Prometheus cannot be run")
}

/// A line for each alert that begins, fires or ends, until a signal.
fn tell(address: &str, prometheus: &mut Child, signals: &mpsc::Receiver<Signal>) -> Result<()> {
    let mut known = Alerts::new();
    loop {
        match signals.recv_timeout(LOOK_AGAIN) {
            Err(RecvTimeoutError::Timeout) | Ok(Signal::SIGCHLD) => {}
            _ => return Ok(()),
        }
        ensure!(prometheus.try_wait()?.is_none(), "Prometheus has ended");
        // It has yet to start, or is busy.
        let Ok(now) = alerts(address) else { continue };
        for (labels, alert) in &now {
            if known.get(labels).is_none_or(|before| before.state != alert.state) {
                say(&alert.state, alert);
            }
        }
        known.iter().filter(|(labels, _)| !now.contains_key(*labels)).for_each(|(_, alert)| say("over", alert));
        known = now;
    }
}

fn alerts(address: &str) -> Result<Alerts> {
    let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).proxy(None).build();
    let mut answer = ureq::Agent::new_with_config(config).get(format!("{address}/api/v1/alerts")).call()?;
    let mut body: Value = answer.body_mut().read_json()?;
    let alerts: Vec<Alert> = serde_json::from_value(body["data"]["alerts"].take())?;
    Ok(alerts.into_iter().map(|alert| (alert.labels.clone(), alert)).collect())
}

fn say(state: &str, alert: &Alert) {
    let text = |of: &BTreeMap<String, String>, name| of.get(name).cloned().unwrap_or_default();
    let (name, summary) = (text(&alert.labels, "alertname"), text(&alert.annotations, "summary"));
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    print::out(format_args!("{now}  {state:<8} {name:<18} {summary}"));
}
