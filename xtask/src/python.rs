//! Programs in Python that are installed with pip, each into an environment of its own below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{install, paths, print};

/// An environment that has `packages`, which are pinned: `name==version`. Its programs are in its folder `bin`.
pub(crate) fn environment(packages: &[&str]) -> Result<PathBuf> {
    let folder = paths::target().join(packages.join("-").replace("==", "-"));
    let done = folder.join("installed");
    if !done.is_file() {
        print::out(format_args!("installing {} into {}", packages.join(", "), folder.display()));
        install::python()?;
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        succeed(pip(&folder).args(["install", "--quiet"]).args(packages))?;
        std::fs::write(done, "")?;
    }
    Ok(folder)
}

fn pip(folder: &Path) -> Command {
    Command::new(folder.join("bin/pip"))
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{} cannot be run", command.get_program().display()))?;
    ensure!(status.success(), "{} has failed", command.get_program().display());
    Ok(())
}
