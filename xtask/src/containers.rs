//! What the containers of `docker-compose*.yml` are allowed, held against what THREATS.md says of them.

use std::process::Command;

use anyhow::Result;

use crate::{paths, python};

const PACKAGE: &str = "PyYAML==6.0.4";

/// What succeeds only if none is allowed more than it has a reason for, and prints what is.
pub(crate) fn check() -> Result<Command> {
    let mut command = Command::new(python::environment(&[PACKAGE])?.join("bin/python"));
    command.arg(paths::root().join("deploy/containers.py")).arg(paths::root());
    Ok(command)
}
