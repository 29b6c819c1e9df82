//! `cargo xtask manifests`: what kustomize makes of `deploy/kubernetes`, held against the published schemas.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};

use crate::{paths, print, python};

const OVERLAYS: [&str; 2] = ["local", "production"];
/// Pinned, so that they find tomorrow what they find today; the first has the schemas of Kubernetes.
const PACKAGES: [&str; 3] = ["kubernetes-validate==1.37.0", "jsonschema==4.26.0", "PyYAML==6.0.4"];

/// Writes them to `deploy/kubernetes/rendered`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing, and fail if what is there is not what would be written
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    for overlay in OVERLAYS {
        let (rendered, path) = (render(overlay)?, rendered(overlay));
        if options.check {
            let there = fs::read_to_string(&path).unwrap_or_default();
            ensure!(there == rendered, "{} is not up to date: run `cargo xtask manifests`", path.display());
        } else {
            fs::write(&path, rendered)?;
        }
    }
    let mut command = Command::new(python::environment(&PACKAGES)?.join("bin/python"));
    command.args([folder().join("validate.py"), folder().join("schemas")]).args(OVERLAYS.map(rendered));
    let status = command.status()?;
    print::out(format_args!("{} overlays", OVERLAYS.len()));
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether there is a kubectl, which has kustomize in it.
pub(crate) fn can_render() -> bool {
    let mut command = Command::new("kubectl");
    command.args(["kustomize", "--help"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn render(overlay: &str) -> Result<String> {
    let output = Command::new("kubectl").arg("kustomize").arg(folder().join(overlay)).output();
    let output = output.context("kubectl cannot be run: it has kustomize in it")?;
    ensure!(output.status.success(), "kubectl kustomize: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}

fn rendered(overlay: &str) -> PathBuf {
    folder().join("rendered").join(overlay).with_extension("yaml")
}

fn folder() -> PathBuf {
    paths::root().join("deploy/kubernetes")
}
