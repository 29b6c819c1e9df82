//! The admin listeners of a running stack's services, and what they answer.

use std::env;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde_json::Value;
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

use crate::services;
use crate::state::{self, Phase, Process};

const DEMO_TOKEN: &str = "admin-demo-token";
/// Longer than a service waits for the database or the broker.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    Orders,
    Payments,
}

impl Service {
    pub(crate) const ALL: [Self; 2] = [Self::Orders, Self::Payments];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Payments => "payments",
        }
    }

    fn process(self) -> &'static str {
        match self {
            Self::Orders => services::ORDERS,
            Self::Payments => services::PAYMENTS,
        }
    }
}

/// A way to ask the services of one stack.
pub(crate) struct Admin {
    processes: Vec<Process>,
    agent: Agent,
}

impl Admin {
    /// Of the stack that runs in this folder.
    pub(crate) fn of_stack(dir: &Path) -> Result<Self> {
        let running = state::running(dir)?.with_context(|| {
            format!("nothing runs in {}: `cargo xtask up` starts a stack, --dir names another folder", dir.display())
        })?;
        let config = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).proxy(None);
        Ok(Self { processes: running.processes, agent: config.build().into() })
    }

    /// The body of the answer; `None` if it is 404.
    pub(crate) fn ask(&self, service: Service, method: &str, path: &str) -> Result<Option<Value>> {
        let request = self.request(service, method, path)?.body(())?;
        read(service, self.agent.run(request))
    }

    /// Posts JSON.
    pub(crate) fn tell(&self, service: Service, path: &str, news: &Value) -> Result<()> {
        let request = self.request(service, "POST", path)?.header("Content-Type", "application/json");
        let answer = read(service, self.agent.run(request.body(news.to_string())?))?;
        answer.map(drop).with_context(|| format!("{} does not know {path}", service.process()))
    }

    /// The metrics of each replica, as text, with its name.
    pub(crate) fn metrics(&self, service: Service) -> impl Iterator<Item = (String, Result<String>)> {
        self.replicas(service).map(|replica| (replica.name.clone(), self.metrics_of(replica)))
    }

    fn metrics_of(&self, replica: &Process) -> Result<String> {
        let port = replica.ports.get(1).with_context(|| format!("{} has no port for operators", replica.name))?;
        let mut answer = self.agent.get(format!("http://127.0.0.1:{port}/metrics")).call()?;
        Ok(answer.body_mut().read_to_string()?)
    }

    fn replicas(&self, service: Service) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(move |process| process.name.starts_with(service.process()))
    }

    fn request(&self, service: Service, method: &str, path: &str) -> Result<ureq::http::request::Builder> {
        let url = format!("http://127.0.0.1:{}{path}", self.port(service)?);
        Ok(Request::builder().method(method).uri(url).header("Authorization", format!("Bearer {}", token()?)))
    }

    /// Any replica will do, best one that runs.
    fn port(&self, service: Service) -> Result<u16> {
        let running = self.replicas(service).find(|process| process.state == Phase::Running);
        let running = running.or_else(|| self.replicas(service).next());
        let port = running.and_then(|process| process.ports.get(1)).copied();
        port.with_context(|| format!("the stack has no {}", service.process()))
    }
}

/// The body of an answer; `None` if it is 404.
fn read(service: Service, answer: Result<Response<Body>, ureq::Error>) -> Result<Option<Value>> {
    let mut answer = answer.with_context(|| format!("{} does not answer", service.process()))?;
    let status = answer.status().as_u16();
    let body: Value = answer.body_mut().read_json().unwrap_or_default();
    match status {
        200..=299 => Ok(Some(body)),
        404 => Ok(None),
        401 => bail!("{} has another ADMIN_TOKEN: set the same in the environment", service.process()),
        _ => bail!("{}: {}: {}", service.process(), text(&body["title"]), text(&body["detail"])),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What the services of a stack are started with, and what they are asked with: from the environment, or from the file that is
/// named there.
#[expect(clippy::disallowed_methods, reason = "it is a setting of the services, which get it from here")]
pub(crate) fn token() -> Result<String> {
    let token = env::var("ADMIN_TOKEN").ok();
    let Some(file) = env::var_os("ADMIN_TOKEN_FILE").filter(|file| !file.is_empty()) else {
        return Ok(token.unwrap_or_else(|| DEMO_TOKEN.to_owned()));
    };
    ensure!(token.is_none_or(|token| token.is_empty()), "ADMIN_TOKEN and ADMIN_TOKEN_FILE are both set");
    let text = fs::read_to_string(&file).with_context(|| format!("ADMIN_TOKEN_FILE = {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
