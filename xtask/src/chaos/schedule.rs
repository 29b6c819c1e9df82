//! What goes wrong, when and for how long: drawn from the seed alone, before anything runs.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

use super::random::Random;
use crate::services::{ORDERS, PAYMENTS};

const STREAM: u64 = 0;
/// Until the first fault, so that there is something to break.
pub(crate) const CALM: Duration = Duration::from_secs(2);

/// The kinds of faults, as `--faults` names them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// kill -9 of a process
    Kill,
    /// An orderly stop of a process, as a deployment does it
    Terminate,
    /// A process and its children stand still for a while
    Freeze,
    /// All connections of a link are reset
    Reset,
    /// What travels on a link takes longer
    Latency,
    /// A link stays open and carries nothing
    BlackHole,
    /// A link forgets its connections: they stay open and carry nothing ever again, new ones work
    Forget,
    /// A link is cut and cannot be opened again
    Refuse,
    /// kill -9 of a node of the broker, whose disk is empty when it comes back
    WipeBroker,
    /// With one node of the broker: a queue is deleted with all that is in it
    DeleteQueue,
    /// The broker takes no messages for want of memory
    MemoryAlarm,
    /// The clock of a service is wrong
    ShiftClock,
    /// With several nodes of the broker: one is cut off from the others, and clients reach it still
    CutOff,
    /// With a standby: kill -9 of the primary, and the standby is promoted
    FailOver,
}

/// What is done to a target.
#[derive(Clone, Copy)]
pub(crate) enum Strike {
    Kill,
    Terminate,
    Freeze,
    Reset,
    Latency(Duration),
    BlackHole(Ending),
    Forget,
    Refuse,
    /// While the replicas of this service do not listen, so that there is something to lose.
    WipeBroker(&'static str),
    DeleteQueue,
    MemoryAlarm,
    /// By so many seconds, forwards or back.
    ShiftClock(i64),
    CutOff,
    FailOver,
}

/// What becomes of the connections in a black hole.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    /// They go on with what was held up, as after a lost route.
    GoOn,
    /// They are reset, as by a firewall that is started again.
    Reset,
}

/// One fault of a run.
pub(crate) struct Fault {
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    pub(crate) kind: Kind,
    pub(crate) strike: Strike,
    pub(crate) target: String,
}

/// What can be hit.
pub(crate) struct Targets {
    pub(crate) processes: Vec<String>,
    pub(crate) services: Vec<String>,
    pub(crate) links: Vec<String>,
    pub(crate) queues: Vec<String>,
    /// The nodes of the broker.
    pub(crate) nodes: Vec<String>,
    /// The database servers.
    pub(crate) servers: Vec<String>,
}

/// Every kind that there is a target for comes up once before any comes up again, and so does every target of a kind: a
/// short run has some of everything, a long one all of it.
pub(crate) fn draw(seed: u64, duration: Duration, kinds: &[Kind], targets: &Targets) -> Vec<Fault> {
    let mut random = Random::new(seed, STREAM);
    let possible = kinds.iter().filter(|kind| !targets.of(**kind).is_empty());
    let mut decks: Vec<_> = possible.map(|kind| (*kind, Vec::new())).collect();
    let mut faults = Vec::new();
    let mut at = CALM;
    while at < duration && !decks.is_empty() {
        random.shuffle(&mut decks);
        for (kind, deck) in &mut decks {
            if deck.is_empty() {
                deck.extend(targets.of(*kind).iter().cloned());
                random.shuffle(deck);
            }
            let (strike, lasts) = detail(*kind, &mut random);
            if let Some(target) = deck.pop()
                && at < duration
            {
                faults.push(Fault { at, lasts: lasts.min(duration.saturating_sub(at)), kind: *kind, strike, target });
            }
            at += random.millis(1000, 3500);
        }
    }
    faults
}

impl Targets {
    fn of(&self, kind: Kind) -> Vec<String> {
        match kind {
            Kind::Kill | Kind::Freeze | Kind::Terminate => self.processes.clone(),
            Kind::Reset | Kind::Latency | Kind::BlackHole | Kind::Forget | Kind::Refuse => self.links.clone(),
            Kind::WipeBroker | Kind::MemoryAlarm => self.nodes.clone(),
            // Of a queue that is declared again at once, RabbitMQ 3.10 may leave a node out for good.
            Kind::DeleteQueue if self.nodes.len() > 1 => Vec::new(),
            Kind::DeleteQueue => self.queues.clone(),
            Kind::ShiftClock => self.services.clone(),
            // Alone it is cut off from nobody, and nobody takes over from it.
            Kind::CutOff => Some(&self.nodes).filter(|nodes| nodes.len() > 1).cloned().unwrap_or_default(),
            Kind::FailOver => self.servers.get(1).map(|_| "the primary".to_owned()).into_iter().collect(),
        }
    }
}

/// No fault lasts so long that a request may rightly stay without an answer until the clients give up on it.
fn detail(kind: Kind, random: &mut Random) -> (Strike, Duration) {
    let moment = Duration::ZERO;
    match kind {
        Kind::Kill => (Strike::Kill, moment),
        Kind::Terminate => (Strike::Terminate, moment),
        Kind::Freeze => (Strike::Freeze, random.millis(500, 8_000)),
        Kind::Reset => (Strike::Reset, moment),
        Kind::Latency => (Strike::Latency(random.millis(10, 300)), random.millis(2_000, 8_000)),
        Kind::BlackHole => {
            let ending = if random.happens(50) { Ending::GoOn } else { Ending::Reset };
            (Strike::BlackHole(ending), random.millis(2_000, 12_000))
        }
        Kind::Forget => (Strike::Forget, moment),
        Kind::Refuse => (Strike::Refuse, random.millis(1_000, 6_000)),
        Kind::WipeBroker => {
            let deaf = if random.happens(50) { PAYMENTS } else { ORDERS };
            (Strike::WipeBroker(deaf), moment)
        }
        Kind::DeleteQueue => (Strike::DeleteQueue, moment),
        Kind::MemoryAlarm => (Strike::MemoryAlarm, random.millis(3_000, 8_000)),
        Kind::ShiftClock => {
            let seconds = i64::try_from(random.between(1, 600)).unwrap_or_default();
            let shift = if random.happens(50) { seconds } else { -seconds };
            (Strike::ShiftClock(shift), random.millis(4_000, 12_000))
        }
        Kind::CutOff => (Strike::CutOff, random.millis(2_000, 8_000)),
        Kind::FailOver => (Strike::FailOver, moment),
    }
}

impl Kind {
    /// As it is typed after `--faults`.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, lasts, kind, target, .. } = self;
        write!(formatter, "{:>6.1} s  {:<12} {target}", at.as_secs_f32(), kind.name())?;
        if !lasts.is_zero() {
            write!(formatter, ", {:.1} s", lasts.as_secs_f32())?;
        }
        match self.strike {
            Strike::Latency(delay) => write!(formatter, ", {} ms each way", delay.as_millis()),
            Strike::BlackHole(Ending::GoOn) => write!(formatter, ", then what was held up goes on"),
            Strike::BlackHole(Ending::Reset) => write!(formatter, ", then a reset"),
            Strike::WipeBroker(deaf) => write!(formatter, ", which {deaf} did not listen to"),
            Strike::ShiftClock(seconds) => write!(formatter, ", by {seconds} s"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn targets() -> Targets {
        let names = |names: &[&str]| names.iter().copied().map(str::to_owned).collect();
        Targets {
            processes: names(&["gateway", "postgres"]),
            services: names(&["orders-service"]),
            links: names(&["orders-service->postgres", "orders-service->rabbitmq"]),
            queues: names(&["payment-create-event"]),
            nodes: names(&["rabbitmq", "rabbitmq-2"]),
            servers: names(&["postgres", "postgres-2"]),
        }
    }

    fn schedule(seed: u64, seconds: u64, targets: &Targets) -> Vec<Fault> {
        draw(seed, Duration::from_secs(seconds), Kind::value_variants(), targets)
    }

    #[test]
    fn a_seed_repeats_its_schedule() {
        let text = |seed| schedule(seed, 60, &targets()).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }

    #[test]
    fn a_minute_has_every_kind_and_nothing_outlasts_it() {
        let faults = schedule(3, 60, &targets());
        let kinds: BTreeSet<_> = faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds.len(), Kind::value_variants().len() - 1, "of several nodes, none forgets a queue");
        assert!(faults.iter().all(|fault| fault.at + fault.lasts <= Duration::from_mins(1)));
    }

    #[test]
    fn a_node_or_server_that_is_alone_is_neither_cut_off_nor_taken_over_from() {
        let mut alone = targets();
        alone.nodes.truncate(1);
        alone.servers.truncate(1);
        let faults = schedule(3, 60, &alone);
        let kinds: BTreeSet<_> = faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds.len(), Kind::value_variants().len() - 2);
        assert!(!kinds.contains(&Kind::CutOff) && !kinds.contains(&Kind::FailOver));
    }
}
