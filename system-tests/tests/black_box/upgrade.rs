//! `cargo xtask upgrade`: that a short run of it, from this version to itself, finds nothing, and that one to a version whose
//! tables the release before cannot work with does.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use crate::stack;

const NOBODY_REFUSED: &str = "no request is refused or left without an answer";

#[test]
fn a_version_that_leaves_the_tables_as_they_were_is_rolled_out_unnoticed() {
    let _alone = stack::alone();
    let output = upgrade_to(&stack::binaries());
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains(&format!("pass  {NOBODY_REFUSED}")), "{told}");
}

#[test]
fn a_migration_that_the_release_before_cannot_work_with_is_found() {
    let _alone = stack::alone();
    let breaking = stack::dir().with_file_name("upgrade-test-breaking");
    if breaking.is_dir() {
        fs::remove_dir_all(&breaking).expect("what an earlier run has left can be removed");
    }
    fs::create_dir(&breaking).expect("a folder");
    let binaries = stack::binaries();
    symlink(binaries.join("payments-service"), breaking.join("payments-service")).expect("a link");
    rename_a_column_with(&breaking.join("orders-service"), &binaries.join("orders-service"));

    let output = upgrade_to(&breaking);
    let told = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains(&format!("FAIL  {NOBODY_REFUSED}")), "{told}{complaints}");
    let refused = |step: &str| {
        let row = told.lines().find(|line| line.starts_with(step) && line.len() > step.len());
        row.and_then(|row| row.split_whitespace().last()?.parse::<u64>().ok())
    };
    assert_eq!(refused("N-1 alone"), Some(0), "{told}{complaints}");
    assert!(refused("tables of N") > Some(0), "{told}{complaints}");
}

/// Half a second between the steps: enough for each mixture to be used.
fn upgrade_to(binaries: &Path) -> Output {
    let mut upgrade = Command::new(stack::xtask());
    upgrade.args(["upgrade", "--pause", "500ms", "--previous"]).arg(stack::binaries()).arg("--binaries").arg(binaries);
    upgrade.arg("--dir").arg(stack::dir().with_file_name("upgrade-test")).output().expect("xtask can be run")
}

/// A service whose migration does what none may.
fn rename_a_column_with(program: &Path, service: &Path) {
    let service = service.display();
    let script = format!(
        "#!/bin/sh -e\n\
         if [ \"$1\" = migrate ]; then\n    \
             '{service}' migrate\n    \
             exec psql -X \"$DATABASE_URL\" -c 'alter table orders.idempotency_keys rename column fingerprint to print'\n\
         fi\n\
         exec '{service}' \"$@\"\n"
    );
    fs::write(program, script).expect("the program can be written");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("it can be made executable");
}
