//! What is written to `bench/RESULTS.md`.

use std::fmt::Write;
use std::time::Duration;

use super::bars::{Bar, Demand};
use super::counts::Counts;
use super::figures::{Figures, Row, Spread, short};
use super::machine;

/// Everything that is told at the end.
pub(crate) struct Report<'a> {
    pub(crate) figures: &'a Figures,
    pub(crate) counts: &'a Counts,
    /// What repeats the run.
    pub(crate) command: String,
    pub(crate) repeats: u8,
    pub(crate) took: Duration,
}

impl Report<'_> {
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "# What `cargo xtask bench` has measured\n\n\
             Generated; what was learned from it is in [NOTES.md](NOTES.md).\n\n{}\
             - run: `{}`, {} min\n\n\
             Everything shares these cores: the load generator, the gateway, both services, PostgreSQL and RabbitMQ. Medians of\n\
             {} repeats, each on fresh tables, with the extremes; ratios are those within one repeat. Every commit is on disk\n\
             before it is answered. What is as fast as it can comes from `wrk`, whose latencies, like those of `pgbench` here,\n\
             count the requests that a waiting client could not send. At half load requests are due at fixed moments and\n\
             their times count from then. Confirmations are seen by a client that asks again after each millisecond.\n\
             No delivery falls into a measurement.\n",
            machine::description(),
            self.command,
            self.took.as_secs().div_ceil(60),
            self.repeats,
        );
        let mut section = None;
        for row in &self.figures.rows {
            if section.replace(row.section) != Some(row.section) {
                let _ = write!(
                    text,
                    "\n## {}\n\n| what | median | min .. max | unit | compared | bar | met |\n|---|--:|--:|---|--:|--:|---|\n",
                    row.section.title()
                );
            }
            self.write_row(&mut text, row);
        }
        let _ = write!(text, "\n## every order counted\n\n{}", self.counts.table());
        text
    }

    fn write_row(&self, text: &mut String, row: &Row) {
        let Some(spread) = Spread::of(&row.values) else { return };
        let Spread { median, min, max } = spread;
        let bar = Bar::of(row);
        let judged = bar.and_then(|bar| Spread::of(&bar.judged(row, self.figures)?));
        let is_ratio = bar.is_some_and(|bar| bar.per.is_some());
        let ratio = judged
            .filter(|_| is_ratio)
            .map(|ratio| format!("{} ({} .. {})", short(ratio.median), short(ratio.min), short(ratio.max)));
        let (demand, verdict) = match (bar.map(|bar| bar.demand), judged) {
            (Some(demand), Some(judged)) => (demand.text(), demand.verdict(judged.median)),
            _ => (String::new(), ""),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} .. {} | {} | {} | {demand} | {verdict} |",
            row.name,
            short(median),
            short(min),
            short(max),
            row.unit,
            ratio.unwrap_or_default(),
        );
    }
}

impl Demand {
    fn text(self) -> String {
        match self {
            Self::AtLeast(bar) => format!(">= {bar}"),
            Self::AtMost(bar) => format!("<= {bar}"),
            Self::LessThan(bar) => format!("< {bar}"),
            Self::Nothing => String::new(),
        }
    }

    fn verdict(self, value: f64) -> &'static str {
        match self {
            Self::Nothing => "",
            _ if self.is_met(value) => "yes",
            _ => "NO",
        }
    }
}
