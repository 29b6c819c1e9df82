//! Everything that has to hold when all is quiet again, each with how much it was looked for in.

use anyhow::Result;

use super::aftermath::{Aftermath, PATIENCE};
use super::books::{Books, Sessions};
use super::cards::{self, Search};
use super::clients::PROOFS;
use super::faults::World;
use super::memory::{Memory, Rule};
use super::report::Check;
use super::resources::{self, Holding};
use super::timers::Timers;
use super::{broker, verdict};
use crate::postgres;

/// The default of `DATABASE_MAX_CONNECTIONS`.
const POOL: u64 = 16;

/// What the checks look at.
pub(crate) struct Evidence<'a> {
    pub(crate) world: &'a World,
    pub(crate) books: &'a Books,
    /// Those of the services.
    pub(crate) timers: &'a Timers,
    pub(crate) aftermath: &'a Aftermath,
    pub(crate) memories: &'a [Memory],
}

impl Evidence<'_> {
    /// All but what the services hold.
    pub(crate) fn checks(&self) -> Result<Vec<Check>> {
        let mut checks = self.told_to_clients();
        checks.extend(verdict::promises(self.memories, &self.books.placed()?));
        checks.push(self.settled());
        let settings = [
            ("chaos.healed_at", self.aftermath.well_at.as_str()),
            ("chaos.delivery_delay", self.timers.delivery_delay),
            ("chaos.unpaid_expiry", self.timers.unpaid_expiry),
        ];
        checks.extend(self.books.invariants(&settings)?);
        checks.push(self.books.reconciled()?);
        checks.extend(self.queues());
        checks.push(self.no_card());
        Ok(checks)
    }

    fn told_to_clients(&self) -> Vec<Check> {
        let answers = self.memories.iter().flat_map(|memory| memory.answers.values()).sum();
        let compared = self.memories.iter().map(|memory| memory.compared).sum();
        let broken = |rule: Rule| {
            let wrong = self.memories.iter().flat_map(|memory| &memory.wrong).filter(|(broken, _)| *broken == rule);
            wrong.map(|(_, complaint)| complaint.clone()).collect()
        };
        vec![
            Check::of("every answer is a documented one, in time and in shape", answers, broken(Rule::Answer)),
            Check::of("a repeated key gets the answer of the first time", compared, broken(Rule::Repetition)),
            Check::of("no client sees an older version after a newer one", answers, broken(Rule::Version)),
            Check::of(
                "what is ordered while nothing is wrong is paid within 20 s",
                2 * PROOFS as u64,
                broken(Rule::Life),
            ),
        ]
    }

    fn settled(&self) -> Check {
        let name = format!("everything is settled within {} s of the last fault", PATIENCE.as_secs());
        Check::of(&name, 1, self.aftermath.remaining.clone())
    }

    fn queues(&self) -> Vec<Check> {
        let queues = match broker::messages(&self.world.dir) {
            Ok(queues) => queues,
            Err(problem) => return vec![Check::of("the queues can be listed", 1, vec![format!("{problem:#}")])],
        };
        let (dead, alive): (Vec<_>, Vec<_>) = queues.into_iter().partition(|(queue, _)| broker::is_dead(queue));
        let check = |name: &str, queues: &[(String, u64)]| {
            let full = queues.iter().filter(|(_, messages)| *messages > 0);
            let full = full.map(|(queue, messages)| format!("{queue}: {messages} messages"));
            Check::of(name, queues.len() as u64, full.collect())
        };
        vec![check("the queues are empty", &alive), check("nothing was given up by the broker", &dead)]
    }

    /// The looked-at are kilobytes.
    fn no_card(&self) -> Check {
        let mut search = Search::default();
        for folder in std::iter::once(self.world.dir.clone()).chain(postgres::elsewhere(&self.world.dir)) {
            cards::search(&folder, &mut search);
        }
        Check::of("no log, table or queue file has a card (KiB)", search.bytes / 1024, search.found)
    }

    /// Compared with what the services held before the first fault.
    pub(crate) fn resources(&self, before: &[Holding]) -> Result<Vec<Check>> {
        let after = resources::held_by_services(&self.world.state()?);
        let replicas = after.len() as u64 / 2;
        let sessions = self.books.sessions()?;
        let is_too_many = |sessions: &&Sessions| sessions.sessions > POOL * replicas;
        let too_many = sessions.iter().filter(is_too_many).map(|role| format!("{} of {}", role.sessions, role.role));
        Ok(vec![
            Check::of(
                "threads and files of the services are what they were",
                after.len() as u64,
                resources::grown(before, &after),
            ),
            Check::of(
                "no more connections to the database than the pools may have",
                sessions.iter().map(|role| role.sessions).sum(),
                too_many.collect(),
            ),
        ])
    }
}
