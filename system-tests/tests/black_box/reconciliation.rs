//! `cargo xtask reconcile`, run as an operator would.

use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::polling::eventually;
use crate::stack::{self, Stack};

/// What `--json` prints.
#[derive(Debug, Deserialize)]
pub struct Reconciliation {
    pub compared: Value,
    pub differences: Vec<Difference>,
}

#[derive(Debug, Deserialize)]
pub struct Difference {
    pub kind: String,
    pub order_id: String,
    #[expect(dead_code, reason = "shown with a test that fails")]
    pub expected: String,
    pub found: String,
}

/// What was printed, and whether the exit code was 0.
#[derive(Debug)]
pub struct Printed {
    pub success: bool,
    pub out: String,
    pub err: String,
}

impl Printed {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|problem| panic!("{problem}: {self:?}"))
    }
}

impl Reconciliation {
    /// Compares the running stack.
    #[track_caller]
    pub fn of_stack(grace: &str) -> Self {
        let dir = stack::dir();
        Self::run(&["--dir", dir.to_str().expect("a path in UTF-8"), "--grace", grace])
    }

    /// Waits until nothing differs in the running stack and nothing is in flight either.
    #[track_caller]
    pub fn once_settled() -> Self {
        Self::once_settled_in(&Stack::now().postgres)
    }

    /// The same for the stack that has this database.
    #[track_caller]
    pub fn once_settled_in(database: &str) -> Self {
        eventually("the books agree", || {
            let found = Self::of_database(database, "0s");
            let is_settled = found.differences.is_empty() && found.compared["in_flight"] == 0;
            if is_settled { Ok(found) } else { Err(format!("{found:#?}")) }
        })
    }

    /// Compares a database of a test's own.
    #[track_caller]
    pub fn of_database(url: &str, grace: &str) -> Self {
        Self::run(&["--database-url", url, "--grace", grace])
    }

    #[track_caller]
    fn run(arguments: &[&str]) -> Self {
        let printed = print(&[arguments, &["--json"]].concat());
        let found: Self = serde_json::from_str(&printed.out).unwrap_or_else(|error| panic!("{error}: {printed:?}"));
        assert_eq!(
            printed.success,
            found.differences.is_empty(),
            "the exit code does not say what was found: {found:?}"
        );
        found
    }

    /// Each kind that was found, once.
    pub fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<_> = self.differences.iter().map(|difference| difference.kind.as_str()).collect();
        kinds.dedup();
        kinds
    }
}

/// Runs the command with these arguments.
#[track_caller]
pub fn print(arguments: &[&str]) -> Printed {
    let output = Command::new(stack::xtask()).arg("reconcile").args(arguments).output().expect("xtask can be run");
    let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
    Printed { success: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}
