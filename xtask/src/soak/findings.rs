//! What came of a run: a line for each curve, and whether every order is still there.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;

use super::clients::Clients;
use super::curves::{Chart, Curves, Judgement};
use super::trend::{Trend, Verdict};
use crate::bench::books::Books;
use crate::reconcile;

/// What an event may take to carry something over; then all agrees.
const GRACE: Duration = Duration::from_secs(10);

/// All that is told at the end.
pub(crate) struct Findings {
    curves: Vec<Finding>,
    accepted: u64,
    /// Where the services see them, and in the archive.
    found: u64,
    retired: u64,
    differences: usize,
    failures: usize,
    examples: Vec<String>,
}

struct Finding {
    chart: Chart,
    name: String,
    judgement: Judgement,
}

impl Findings {
    pub(crate) fn of(curves: &Curves, clients: &Clients, books: &Books) -> Result<Self> {
        books.wait_for_quiet()?;
        let found = "select (select count(*) from orders.orders) + (select count(*) from orders.archived_orders)";
        let (failures, examples) = clients.failures();
        let finding = |chart| {
            let of_chart = curves.of(chart);
            of_chart.map(move |(name, points)| Finding {
                chart,
                name: name.to_owned(),
                judgement: curves.judge(chart, name, points),
            })
        };
        Ok(Self {
            curves: Chart::ALL.into_iter().flat_map(finding).collect(),
            accepted: clients.accepted.load(Ordering::Relaxed),
            found: books.row(found)?,
            retired: clients.retired.load(Ordering::Relaxed),
            differences: reconcile::compare(&books.url, GRACE)?.differences.len(),
            failures,
            examples,
        })
    }

    /// A request that failed, or was under way when the load was stopped, may have left an order.
    pub(crate) fn are_sound(&self) -> bool {
        let are_flat = self.curves.iter().all(|finding| finding.judgement.is_sound());
        are_flat && self.found >= self.accepted && self.differences == 0 && self.failures == 0
    }

    /// What is said of a curve, in a few words.
    pub(crate) fn verdict(&self, chart: Chart, name: &str) -> String {
        let finding = self.curves.iter().find(|finding| finding.chart == chart && finding.name == name);
        finding.map(|finding| finding.judgement.to_string()).unwrap_or_default()
    }
}

impl Judgement {
    fn is_sound(&self) -> bool {
        matches!(self, Self::Judged(_, Verdict::Flat) | Self::OnPurpose | Self::TooEarly(_))
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Judged(_, Verdict::Flat) => write!(formatter, "flat"),
            Self::Judged(_, Verdict::Grows) => write!(formatter, "GROWS"),
            Self::Judged(_, Verdict::Unclear) => write!(formatter, "unclear"),
            Self::OnPurpose => write!(formatter, "on purpose"),
            Self::TooEarly(lives) => write!(formatter, "lives for {} min", lives.as_secs() / 60),
            Self::TooShort => write!(formatter, "too short"),
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chart in Chart::ALL {
            writeln!(
                formatter,
                "\n{:<46} {:>9}  {:>9}  at least .. at most  {:>8}",
                chart.title(),
                "level",
                "risen",
                "an hour"
            )?;
            for Finding { name, judgement, .. } in self.curves.iter().filter(|finding| finding.chart == chart) {
                write!(formatter, "  {:<16}  {name:<26}", judgement.to_string())?;
                if let Judgement::Judged(trend, _) = judgement {
                    let Trend { level, risen, at_least, at_most, .. } = trend;
                    let hour = trend.per_hour();
                    write!(
                        formatter,
                        " {level:>9.2}  {risen:>+9.3}  {at_least:>+8.3} .. {at_most:<+8.3} {hour:>+8.2}"
                    )?;
                }
                writeln!(formatter)?;
            }
        }
        let Self { accepted, found, retired, differences, failures, .. } = self;
        writeln!(formatter, "\n{accepted} orders accepted, {found} found, {retired} of them retired")?;
        writeln!(formatter, "{differences} differences between the books, {failures} failures")?;
        for example in &self.examples {
            writeln!(formatter, "  {example}")?;
        }
        Ok(())
    }
}
