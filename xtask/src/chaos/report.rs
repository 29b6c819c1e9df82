//! What came of a run, for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::aftermath::Aftermath;
use super::faults::Counts;
use super::judge::Action;
use super::memory::Memory;
use super::schedule::Kind;

const EXAMPLES: usize = 5;

/// One invariant, how much it was looked for in, and what breaks it.
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) looked_at: u64,
    pub(crate) broken: u64,
    pub(crate) examples: Vec<String>,
}

impl Check {
    pub(crate) fn of(name: &str, looked_at: u64, broken: Vec<String>) -> Self {
        let (count, mut examples) = (broken.len() as u64, broken);
        examples.truncate(EXAMPLES);
        Self { name: name.to_owned(), looked_at, broken: count, examples }
    }
}

/// Everything that is told at the end.
pub(crate) struct Report<'a> {
    pub(crate) replay: String,
    pub(crate) logs: String,
    /// How many shifts of clocks could not be done.
    pub(crate) skipped: usize,
    pub(crate) faults: Counts,
    pub(crate) memories: &'a [Memory],
    pub(crate) aftermath: &'a Aftermath,
    pub(crate) checks: Vec<Check>,
}

impl Report<'_> {
    pub(crate) fn is_sound(&self) -> bool {
        are_sound(&self.checks)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::from("\nrequests by answer\n");
        write_answers(&mut text, self.memories);
        text += "\nfaults by kind\n";
        self.write_faults(&mut text);
        text += "\nafter the last fault\n";
        let seconds =
            |after: Option<Duration>| after.map_or("never".to_owned(), |after| format!("{:.1} s", after.as_secs_f32()));
        let _ = writeln!(text, "  everything runs again      {:>8}", seconds(self.aftermath.well_after));
        let _ = writeln!(text, "  everything is settled      {:>8}", seconds(self.aftermath.settled_after));
        if let Some(last) = &self.aftermath.last_to_settle {
            let _ = writeln!(text, "  the last to be settled     {last}");
        }
        let _ = writeln!(text, "  every order is at its end  {:>8}", seconds(self.aftermath.at_rest_after));
        let slowest = self.memories.iter().map(|memory| memory.slowest).max();
        let _ = writeln!(text, "\nslowest answer               {:>8}", seconds(slowest));
        write_checks(&mut text, &self.checks);
        let _ = writeln!(text, "logs    {}\nreplay  {}", self.logs, self.replay);
        text
    }

    fn write_faults(&self, text: &mut String) {
        for (kind, count) in &self.faults {
            let _ = write!(text, "  {:<16} {:>4}", kind.name(), count.struck);
            let _ = match count.missed {
                0 => writeln!(text),
                missed => writeln!(text, "  ({missed} more found nothing to hit)"),
            };
        }
        if self.skipped > 0 {
            let (kind, count) = (Kind::ShiftClock.name(), self.skipped);
            let _ = writeln!(text, "  {kind:<16} {count:>4}  SKIPPED: libfaketime is missing and cannot be installed");
        }
    }
}

/// How often each request was answered how.
pub(crate) fn write_answers(text: &mut String, memories: &[Memory]) {
    let mut answers: BTreeMap<(Action, &str), u64> = BTreeMap::new();
    for ((action, answer), count) in memories.iter().flat_map(|memory| &memory.answers) {
        *answers.entry((*action, answer)).or_default() += count;
    }
    for ((action, answer), count) in &answers {
        let _ = writeln!(text, "  {:<16} {answer:<32} {count:>8}", action.name());
    }
    let _ = writeln!(text, "  {:<16} {:<32} {:>8}", "all", "", answers.values().sum::<u64>());
}

pub(crate) fn are_sound(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.broken == 0)
}

/// Each invariant with what it was looked for in, and what breaks it.
pub(crate) fn write_checks(text: &mut String, checks: &[Check]) {
    *text += "\ninvariants\n";
    for Check { name, looked_at, broken, examples } in checks {
        let verdict = if *broken == 0 { "pass" } else { "FAIL" };
        let _ = writeln!(text, "  {verdict}  {name:<70} {looked_at:>8}");
        if *broken > 0 {
            let _ = writeln!(text, "        broken {broken} times, such as");
        }
        for example in examples {
            let _ = writeln!(text, "        - {example}");
        }
    }
    let broken = checks.iter().filter(|check| check.broken > 0).count();
    let _ = writeln!(text, "\n{} invariants, {broken} broken", checks.len());
}
