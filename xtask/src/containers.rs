//! What the containers of `docker-compose*.yml` are allowed, held against what THREATS.md says of them.

use std::process::Command;

use anyhow::Result;

use crate::{paths, python};

const PACKAGE: &str = "PyYAML==6.0.4";

/// Whether none is allowed more than it has a reason for; it prints what is.
pub(crate) fn are_confined() -> Result<bool> {
    let mut command = Command::new(python::environment(&[PACKAGE])?.join("bin/python"));
    command.arg(paths::root().join("deploy/containers.py")).arg(paths::root());
    Ok(command.status()?.success())
}
