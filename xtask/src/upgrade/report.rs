//! What came of a run, for people.

use std::fmt::Write;
use std::path::PathBuf;

use super::rollout::Step;
use crate::chaos::memory::{Heard, Memory};
use crate::chaos::report::{Check, are_sound, write_answers, write_checks};

/// Everything that is told at the end.
pub(crate) struct Report<'a> {
    pub(crate) steps: &'a [Step],
    pub(crate) memories: &'a [Memory],
    pub(crate) checks: Vec<Check>,
    pub(crate) logs: PathBuf,
}

/// Nothing has failed meanwhile, so nobody may be told that something has.
pub(crate) fn nobody_refused(memories: &[Memory]) -> Check {
    let refusals = heard(memories).filter_map(|heard| heard.refusal.clone());
    Check::of("no request is refused or left without an answer", heard(memories).count() as u64, refusals.collect())
}

fn heard(memories: &[Memory]) -> impl Iterator<Item = &Heard> {
    memories.iter().flat_map(|memory| &memory.heard)
}

impl Report<'_> {
    pub(crate) fn is_sound(&self) -> bool {
        are_sound(&self.checks)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::from("\nrequests by answer\n");
        write_answers(&mut text, self.memories);
        let _ = writeln!(text, "\n{:<32} {:>8} {:>8} {:>8}", "step", "seconds", "answers", "refused");
        for step in self.steps {
            let during = heard(self.memories).filter(|heard| (step.began..step.ended).contains(&heard.at));
            let (refused, answered): (Vec<_>, Vec<_>) = during.partition(|heard| heard.refusal.is_some());
            let seconds = step.ended.duration_since(step.began).as_secs_f32();
            let (answered, refused) = (answered.len(), refused.len());
            let _ = writeln!(text, "{:<32} {seconds:>8.1} {answered:>8} {refused:>8}", step.name);
        }
        write_checks(&mut text, &self.checks);
        let _ = write!(text, "logs    {}", self.logs.display());
        text
    }
}
