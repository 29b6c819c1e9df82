//! `cargo xtask sbom`: a bill of materials for each service, in the format of `CycloneDX`
//! (<https://cyclonedx.org/docs/1.5/json/>): every crate that is compiled into it, as cargo resolves them for a release.
//! They are committed, a line for each crate, so that a change shows what comes in with it; the images carry them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::services::{ORDERS, PAYMENTS};
use crate::{paths, print};

/// What the images are made for.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const FORMAT: &str = "{p}|{l}|{r}";

/// Run it after a dependency has changed, and commit what it has written to `sbom/`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only compare; fail if something differs
    #[arg(long)]
    check: bool,
}

/// A crate of somebody else.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Component {
    name: String,
    version: String,
    license: String,
    repository: String,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let lock = fs::read_to_string(paths::root().join("Cargo.lock"))?;
    let checksums = checksums(&lock);
    let folder = paths::open_dir(&paths::root().join("sbom"))?;
    let mut differ = false;
    for service in [ORDERS, PAYMENTS] {
        let components = components(&tree(service)?)?;
        let bill = bill(service, &components, &checksums)?;
        let path = folder.join(format!("{service}.cdx.json"));
        if !options.check {
            fs::write(&path, bill)?;
            print::out(format_args!("{} crates  {}", components.len(), path.display()));
        } else if fs::read_to_string(&path).ok().as_ref() != Some(&bill) {
            print::err(format_args!("{} is not what is compiled in: cargo xtask sbom", path.display()));
            differ = true;
        }
    }
    Ok(if differ { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn tree(service: &str) -> Result<String> {
    let mut cargo = paths::cargo();
    cargo.args(["tree", "--locked", "--package", service, "--edges", "normal", "--prefix", "none"]);
    let output = cargo.args(["--target", TARGET, "--format", FORMAT]).output()?;
    ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}

/// Those that are not ours; every one has to say under which licence it comes.
fn components(tree: &str) -> Result<BTreeSet<Component>> {
    let mut components = BTreeSet::new();
    for line in tree.lines() {
        let mut fields = line.split('|').map(|field| field.trim_end_matches(" (*)").trim().to_owned());
        let package = fields.next().unwrap_or_default();
        // Ours are followed by their path.
        if package.contains("(/") {
            continue;
        }
        let (name, version) = package.split_once(" v").with_context(|| format!("not a crate: {line}"))?;
        let version = version.split(' ').next().unwrap_or_default();
        let (license, repository) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        ensure!(!license.is_empty(), "{name} {version} does not say under which licence it comes");
        components.insert(Component { name: name.to_owned(), version: version.to_owned(), license, repository });
    }
    Ok(components)
}

/// What Cargo.lock says that the archives of crates hash to, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
        Some(line.trim_matches('"').to_owned())
    };
    let package = |text| Some(((value(text, "name")?, value(text, "version")?), value(text, "checksum")?));
    lock.split("[[package]]").filter_map(package).collect()
}

fn bill(
    service: &str,
    components: &BTreeSet<Component>,
    checksums: &BTreeMap<(String, String), String>,
) -> Result<String> {
    let line = |Component { name, version, license, repository }: &Component| -> Result<String> {
        let checksum = checksums.get(&(name.clone(), version.clone()));
        let checksum = checksum.with_context(|| format!("{name} {version} has no checksum in Cargo.lock"))?;
        let purl = format!("pkg:cargo/{name}@{version}");
        let mut component = json!({
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            // Older crates write a slash for OR.
            "licenses": [{"expression": license.replace('/', " OR ")}],
            "hashes": [{"alg": "SHA-256", "content": checksum}],
            "purl": purl,
        });
        if !repository.is_empty() {
            component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
        }
        Ok(component.to_string())
    };
    let lines = components.iter().map(line).collect::<Result<Vec<_>>>()?.join(",\n");
    let version = env!("CARGO_PKG_VERSION");
    let itself = json!({"component": {"type": "application", "bom-ref": service, "name": service, "version": version}});
    let format = r#""bomFormat":"CycloneDX","specVersion":"1.5","version":1"#;
    Ok(format!("{{{format},\"metadata\":{itself},\"components\":[\n{lines}\n]}}\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_crate_of_others_is_listed_once_with_its_origin() {
        let tree = "orders-service v0.1.0 (/src/orders-service)|MIT|\n\
            serde v1.0.1|MIT OR Apache-2.0|https://example.org/serde\n\
            serde_derive v1.0.1 (proc-macro)|MIT/Apache-2.0|\n\
            serde v1.0.1|MIT OR Apache-2.0|https://example.org/serde (*)\n";
        let lock = "version = 4\n\n[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nchecksum = \"ab\"\n\n\
            [[package]]\nname = \"serde_derive\"\nversion = \"1.0.1\"\nchecksum = \"cd\"\n";
        let components = components(tree).expect("crates");
        let bill = bill("orders-service", &components, &checksums(lock)).expect("a bill");
        let bill: Value = serde_json::from_str(&bill).expect("JSON");
        let listed = bill["components"].as_array().expect("a list");
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0]["purl"], "pkg:cargo/serde@1.0.1");
        assert_eq!(listed[0]["hashes"][0]["content"], "ab");
        assert_eq!(listed[1]["licenses"][0]["expression"], "MIT OR Apache-2.0");
    }

    #[test]
    fn a_crate_without_a_licence_or_a_checksum_is_found() {
        assert!(components("mystery v1.0.0||\n").is_err());
        let known = components("mystery v1.0.0|MIT|\n").expect("a crate");
        assert!(bill("orders-service", &known, &BTreeMap::new()).is_err());
    }
}
