//! Runs the scripts of a request: `script.js` stands in for Insomnia.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rquickjs::{Context, Ctx, Function, Promise, Runtime};
use serde::{Deserialize, Serialize};

use crate::api::Answer;
use crate::export::Variables;

/// Scripts pause for as long as suits people; here nobody watches.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Engine {
    context: Context,
}

/// What a script finds.
#[derive(Serialize)]
pub(crate) struct Input<'a> {
    pub(crate) environment: &'a Variables,
    /// Before the request there is none.
    pub(crate) response: Option<&'a Answer>,
}

/// What a script leaves behind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    pub(crate) environment: Variables,
    pub(crate) assertions: Vec<Assertion>,
    /// The name that was given to `insomnia.execution.setNextRequest`.
    pub(crate) next_request: Option<String>,
    /// Why the script itself failed.
    pub(crate) failure: Option<String>,
}

/// One `insomnia.test`.
#[derive(Deserialize)]
pub(crate) struct Assertion {
    pub(crate) name: String,
    /// `None` when it holds.
    pub(crate) failure: Option<String>,
}

impl Engine {
    pub(crate) fn new() -> Result<Self> {
        let context = Context::full(&Runtime::new()?)?;
        context.with(|ctx| {
            ctx.globals().set("pause", Function::new(ctx.clone(), pause)?)?;
            let defined: rquickjs::Result<()> = ctx.eval(include_str!("script.js"));
            told(&ctx, defined)
        })?;
        Ok(Self { context })
    }

    pub(crate) fn run(&self, script: &str, input: &Input<'_>) -> Result<Outcome> {
        let input = serde_json::to_string(input)?;
        let output: String = self.context.with(|ctx| {
            let outcome = ctx.globals().get("run").and_then(|run: Function| run.call((script, input)));
            told(&ctx, outcome.and_then(|promise: Promise| promise.finish()))
        })?;
        serde_json::from_str(&output).with_context(|| format!("a script left {output}"))
    }
}

fn pause(milliseconds: u32) {
    thread::sleep(Duration::from_millis(milliseconds.into()).min(LONGEST_PAUSE));
}

/// The result, with the exception in words.
fn told<T>(ctx: &Ctx<'_>, result: rquickjs::Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        rquickjs::Error::Exception => anyhow::anyhow!("{:?}", ctx.catch()),
        other => other.into(),
    })
}
