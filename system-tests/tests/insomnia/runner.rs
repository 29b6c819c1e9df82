//! Runs a collection as Insomnia's collection runner does: from top to bottom, with the scripts of every request.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ureq::Agent;

use crate::api::{Answer, client, send};
use crate::export::{Export, Request, Resource, Variables};
use crate::script::{Engine, Input, Outcome};

/// How much of an answer a failure shows.
const SHOWN_CHARS: usize = 600;

/// What became of a run.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) sent: usize,
    pub(crate) assertions: usize,
    /// Each with the folder and the request that it belongs to.
    pub(crate) failures: Vec<String>,
}

/// Sends every request to `base_url`. One that repeats itself by `setNextRequest` may do so for as long as `patience`.
pub(crate) fn run(collection: &Export, base_url: &str, patience: Duration) -> Result<Report> {
    let mut variables = collection.variables();
    variables.insert("baseUrl".to_owned(), base_url.into());
    let mut run = Run { client: client(), engine: Engine::new()?, variables, report: Report::default() };
    for (folder, resource, request) in collection.requests() {
        if let Err(failure) = run.send_until_satisfied(resource, request, patience) {
            run.report.failures.push(format!("{} / {}: {failure:#}", folder.name, resource.name));
        }
    }
    Ok(run.report)
}

struct Run {
    client: Agent,
    engine: Engine,
    variables: Variables,
    report: Report,
}

impl Run {
    fn send_until_satisfied(&mut self, resource: &Resource, request: &Request, patience: Duration) -> Result<()> {
        let began = Instant::now();
        loop {
            self.report.sent += 1;
            let before = self.run_script(&request.pre_request_script, None)?;
            ensure!(before.assertions.is_empty(), "asserts something before it is sent");
            let answer = send(&self.client, request, &self.variables)?;
            let outcome =
                self.run_script(&request.after_response_script, Some(&answer)).with_context(|| shown(&answer))?;
            let Some(next) = outcome.next_request else {
                return self.count(&outcome, &answer);
            };
            ensure!(next == resource.name, "goes on to {next}: here a request may only repeat itself");
            ensure!(began.elapsed() < patience, "repeats itself after {patience:?}; {}", shown(&answer));
        }
    }

    fn run_script(&mut self, script: &str, response: Option<&Answer>) -> Result<Outcome> {
        let mut outcome = self.engine.run(script, &Input { environment: &self.variables, response })?;
        self.variables = std::mem::take(&mut outcome.environment);
        match &outcome.failure {
            Some(failure) => Err(anyhow::anyhow!("the script fails: {failure}")),
            None => Ok(outcome),
        }
    }

    fn count(&mut self, outcome: &Outcome, answer: &Answer) -> Result<()> {
        ensure!(!outcome.assertions.is_empty(), "asserts nothing");
        self.report.assertions += outcome.assertions.len();
        let failures: Vec<String> = outcome
            .assertions
            .iter()
            .filter_map(|assertion| Some(format!("{}: {}", assertion.name, assertion.failure.as_ref()?)))
            .collect();
        ensure!(failures.is_empty(), "{}; {}", failures.join("; "), shown(answer));
        Ok(())
    }
}

fn shown(answer: &Answer) -> String {
    format!("the answer was {} {}", answer.code, answer.body.chars().take(SHOWN_CHARS).collect::<String>())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, assertions, failures } = self;
        write!(f, "{sent} requests sent, {assertions} assertions, {} requests failed", failures.len())?;
        failures.iter().try_for_each(|failure| write!(f, "\n- {failure}"))
    }
}
