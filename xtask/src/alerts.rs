//! Alert rules: whether they are sound and fire when they should, by Prometheus' own tool.

use anyhow::{Context, Result};

use crate::{install, paths};

/// Whether `observability/` is sound; promtool says what is not.
pub(crate) fn are_sound() -> Result<bool> {
    let promtool = install::promtool()?;
    let dir = paths::root().join("observability");
    for arguments in [["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]] {
        let status = std::process::Command::new(&promtool).args(arguments).current_dir(&dir).status();
        if !status.context("promtool cannot be run")?.success() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use clap::Parser;
    use serde_json::Value;

    use crate::{Task, paths};

    fn text(path: &str) -> String {
        fs::read_to_string(paths::root().join(path)).expect("the file is there")
    }

    fn after(text: &str, mark: &str) -> BTreeSet<String> {
        let rest = text.lines().filter_map(|line| line.trim_start_matches([' ', '-', '{']).strip_prefix(mark));
        rest.map(|rest| rest.trim_end_matches('}').trim().to_owned()).collect()
    }

    #[test]
    fn every_alert_has_a_section_of_the_runbook_and_a_test() {
        let alerts = after(&text("observability/alerts.yml"), "alert:");
        assert!(alerts.len() > 10, "{alerts:?}");
        assert_eq!(alerts, after(&text("RUNBOOK.md"), "## "), "the sections of the runbook");
        let tests = text("observability/alerts_test.yml");
        let fired = tests.split("\n  - name: ").filter(|test| test.contains("exp_alerts"));
        let fired = fired.flat_map(|test| after(test, "alertname:"));
        assert_eq!(alerts, fired.collect(), "the tests in which they fire");
    }

    #[test]
    fn every_section_of_the_runbook_says_what_it_means_what_to_look_at_and_what_to_type() {
        let runbook = text("RUNBOOK.md");
        for section in runbook.split("\n## ").skip(1) {
            let name = section.lines().next().unwrap_or_default();
            for part in ["**Means.**", "**Look.**", "**Type.**"] {
                assert!(section.contains(part), "{name} has no {part}");
            }
        }
    }

    #[test]
    fn alerts_and_dashboard_look_at_metrics_that_there_are() {
        let readme = text("README.md");
        let dashboard: Value =
            serde_json::from_str(&text("observability/grafana/order-processing.json")).expect("JSON");
        let targets =
            dashboard["panels"].as_array().into_iter().flatten().filter_map(|panel| panel["targets"].as_array());
        let shown = targets.flatten().map(|target| target["expr"].as_str().expect("an expression").to_owned());
        let alerts = text("observability/alerts.yml");
        let rules =
            alerts.split("expr:").skip(1).map(|rule| rule.split("labels:").next().unwrap_or_default().to_owned());
        let mut looked_at = BTreeSet::new();
        for expression in shown.chain(rules) {
            looked_at.extend(metrics_of(&expression));
        }
        assert!(looked_at.len() > 20, "{looked_at:?}");
        for name in looked_at {
            assert!(readme.contains(&format!("`{name}")), "{name} is not in the README's table");
        }
    }

    /// Metrics, their labels' values, and the codes of problems.
    #[test]
    fn the_runbook_has_one_look_at_what_there_is() {
        let (runbook, readme) = (text("RUNBOOK.md"), text("README.md"));
        let problems = text("service-kit/src/problem_types.rs");
        let looks = runbook.split("**Look.**").skip(1).filter_map(|rest| rest.split("**Type.**").next());
        let codes = looks.flat_map(|look| look.split('`').skip(1).step_by(2));
        let mut looked_at = 0;
        for code in codes {
            let name = code.split('{').next().unwrap_or_default();
            if name.contains('_') && name.chars().all(|character| character.is_ascii_lowercase() || character == '_') {
                let is_known = readme.contains(&format!("`{name}")) || problems.contains(&format!("\"{name}\""));
                assert!(is_known, "{name} is neither in the README nor the code of a problem");
                looked_at += 1;
            }
        }
        assert!(looked_at > 10, "only {looked_at}");
    }

    /// The words that are neither quoted nor functions nor in a comment, and look like the name of a metric.
    fn metrics_of(expression: &str) -> Vec<String> {
        let lines = expression.lines().filter(|line| !line.trim_start().starts_with('#'));
        let unquoted: String = lines.collect::<Vec<_>>().join(" ").split('"').step_by(2).collect::<Vec<_>>().join("''");
        let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let starts = unquoted.split(|character| !is_word(character)).filter(|word| word.contains('_'));
        let names = starts.filter(|word| !unquoted.contains(&format!("{word}(")));
        let base = |name: &str| {
            ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name).to_owned()
        };
        names.map(base).collect()
    }

    /// Each as it stands, but for the names in capitals, which the operator knows.
    #[test]
    fn every_command_of_the_runbook_can_be_typed() {
        let runbook = text("RUNBOOK.md");
        let commands = runbook.split('`').filter(|code| code.starts_with("cargo xtask "));
        let lines = runbook.lines().filter(|line| line.starts_with("cargo xtask "));
        let mut typed = 0;
        for command in commands.chain(lines) {
            let command = command.split(" #").next().unwrap_or_default().replace("SERVICE/ID", "orders/17");
            let words = command.split_whitespace().skip(2);
            let parsed = Task::try_parse_from(std::iter::once("xtask").chain(words));
            assert!(parsed.is_ok(), "{command}: {}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
            typed += 1;
        }
        assert!(typed > 20, "only {typed}");
    }
}
