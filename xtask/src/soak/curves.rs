//! What is followed over the time of a run: each curve with its chart, and what may be said about it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::trend::{Point, Trend, Verdict, means_over};

/// Changes are kept for so long (`orders_service::changes::RETENTION`).
const CHANGES_LIVE: Duration = Duration::from_hours(1);
/// What the servers hold rises and comes back: PostgreSQL's processes open files and keep plans as long as their connections
/// live, which is what sqlx lets them by default, and all were opened at about the same time; RabbitMQ fills its log and cuts
/// it several times meanwhile.
const CONNECTIONS_LIVE: Duration = Duration::from_mins(30);
const SERVERS: [&str; 2] = ["postgres", "rabbitmq"];
/// Grows with every order, and has to.
const KEPT: [&str; 4] = ["orders.archived_orders", "payments.archived_payments", "payments.ledger", "sandbox.charges"];

/// Curves of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Chart {
    Tables,
    Indexes,
    DeadRows,
    Rows,
    Memory,
    Files,
    Latency,
    Archive,
}

/// One value of one curve.
pub(crate) struct Reading {
    pub(crate) chart: Chart,
    pub(crate) curve: String,
    pub(crate) value: f64,
}

/// All curves, sorted by chart and name.
#[derive(Default)]
pub(crate) struct Curves(BTreeMap<(Chart, String), Vec<Point>>);

/// What can be said about a curve.
pub(crate) enum Judgement {
    Judged(Trend, Verdict),
    /// It is meant to grow.
    OnPurpose,
    /// What it shows lives for so long, and the second half of the run began earlier.
    TooEarly(Duration),
    TooShort,
}

impl Chart {
    pub(crate) const ALL: [Self; 8] = [
        Self::Tables,
        Self::Indexes,
        Self::DeadRows,
        Self::Rows,
        Self::Memory,
        Self::Files,
        Self::Latency,
        Self::Archive,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Tables => "tables, MiB",
            Self::Indexes => "indexes, MiB",
            Self::DeadRows => "dead rows",
            Self::Rows => "rows",
            Self::Memory => "memory of a process and its children, MiB",
            Self::Files => "open files and sockets",
            Self::Latency => "latency, ms",
            Self::Archive => "kept on purpose, MiB with indexes",
        }
    }

    /// What a curve may rise by, whatever its level: a few pages, a few connections, the mood of the machine.
    fn floor(self) -> f64 {
        match self {
            Self::Tables | Self::Indexes | Self::Archive => 0.25,
            Self::DeadRows => 500.0,
            Self::Rows => 100.0,
            Self::Memory => 2.0,
            Self::Files => 8.0,
            Self::Latency => 3.0,
        }
    }
}

impl Reading {
    /// The sizes of a table, in bytes, and the rows that wait to be cleared away.
    pub(crate) fn of_table(name: String, table: f64, indexes: f64, dead: f64) -> Vec<Self> {
        const MEBIBYTE: f64 = 1_048_576.0;
        let mebibytes = |chart, curve, bytes: f64| Self { chart, curve, value: bytes / MEBIBYTE };
        if KEPT.contains(&name.as_str()) {
            return vec![mebibytes(Chart::Archive, name, table + indexes)];
        }
        let dead = Self { chart: Chart::DeadRows, curve: name.clone(), value: dead };
        vec![mebibytes(Chart::Tables, name.clone(), table), mebibytes(Chart::Indexes, name, indexes), dead]
    }
}

impl Curves {
    pub(crate) fn add(&mut self, at: Duration, readings: Vec<Reading>) {
        for Reading { chart, curve, value } in readings {
            self.0.entry((chart, curve)).or_default().push((at, value));
        }
    }

    pub(crate) fn of(&self, chart: Chart) -> impl Iterator<Item = (&str, &[Point])> {
        let ours = self.0.iter().filter(move |((other, _), _)| *other == chart);
        ours.map(|((_, name), points)| (name.as_str(), points.as_slice()))
    }

    /// When the last value was read.
    pub(crate) fn end(&self) -> Duration {
        self.0.values().filter_map(|points| points.last()).map(|(at, _)| *at).max().unwrap_or_default()
    }

    /// From here on it is judged.
    pub(crate) fn half(&self) -> Duration {
        self.end() / 2
    }

    pub(crate) fn judge(&self, chart: Chart, name: &str, points: &[Point]) -> Judgement {
        let half = self.half();
        if chart == Chart::Archive {
            return Judgement::OnPurpose;
        }
        if name == "orders.changes" && half < CHANGES_LIVE {
            return Judgement::TooEarly(CHANGES_LIVE);
        }
        let comes_back = SERVERS.contains(&name) && matches!(chart, Chart::Memory | Chart::Files);
        if comes_back && half < CONNECTIONS_LIVE {
            return Judgement::TooEarly(CONNECTIONS_LIVE);
        }
        let means = comes_back.then(|| means_over(CONNECTIONS_LIVE, points));
        match Trend::from(half, means.as_deref().unwrap_or(points)) {
            Some(trend) => Judgement::Judged(trend, trend.verdict(chart.floor())),
            None => Judgement::TooShort,
        }
    }
}
