//! What an operator's command has done with one thing after the other: a line for each as soon as it is done, or a list in
//! JSON at the end.

use std::fmt::Display;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use crate::print;

/// How it is told.
#[derive(clap::Args)]
pub(crate) struct Form {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What has been done so far.
pub(crate) struct Deeds<'a> {
    form: &'a Form,
    told: Vec<Value>,
    outcome: ExitCode,
}

impl<'a> Deeds<'a> {
    pub(crate) fn told_as(form: &'a Form) -> Self {
        Self { form, told: Vec::new(), outcome: ExitCode::SUCCESS }
    }

    /// There was nothing to do.
    pub(crate) fn none(&self, line: &str) {
        if !self.form.json {
            print::out(line);
        }
    }

    /// What was asked for.
    pub(crate) fn done(&mut self, line: impl Display, deed: Value) {
        if !self.form.json {
            print::out(line);
        }
        self.told.push(deed);
    }

    /// Not all that was asked for.
    pub(crate) fn undone(&mut self, line: impl Display, deed: Value) {
        self.outcome = ExitCode::FAILURE;
        self.done(line, deed);
    }

    /// Nothing. The thing is called `member` where others are.
    pub(crate) fn failed(&mut self, member: &str, name: impl Display, problem: &anyhow::Error) {
        self.outcome = ExitCode::FAILURE;
        print::err(format_args!("error: {name}: {problem:#}"));
        let mut deed = json!({"outcome": "failed", "error": format!("{problem:#}")});
        deed[member] = name.to_string().into();
        self.told.push(deed);
    }

    /// Success only if all was done.
    pub(crate) fn end(self) -> Result<ExitCode> {
        if self.form.json {
            print::out(serde_json::to_string_pretty(&self.told)?);
        }
        Ok(self.outcome)
    }
}
