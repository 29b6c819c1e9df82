//! What is written to `bench/RESULTS.md`.

use std::fmt::Write;
use std::time::Duration;

use clap::ValueEnum;

use super::bars::{Bar, Demand};
use super::counts::Counts;
use super::figures::{Figures, Row, Section, Spread, short};
use super::machine;

const METHOD: &str = include_str!("method.md");
const COMPARED: &str = "| what | median | min .. max | | bar | met |\n|---|--:|--:|---|---|---|\n";
const MEASURED: &str = "| what | median | min .. max | unit |\n|---|--:|--:|---|\n";

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
             Generated; what was learned from it is in [NOTES.md](NOTES.md).\n\n\
             {}- run: `{}`, {} repeats, {} min\n\n{METHOD}",
            machine::description(),
            self.command,
            self.repeats,
            self.took.as_secs().div_ceil(60),
        );
        let _ = write!(text, "\n## What it is compared with, and the bars\n\n{COMPARED}");
        let rows = self.figures.rows.iter();
        for (row, bar) in rows.flat_map(|row| Bar::all_of(row).map(move |bar| (row, bar))) {
            self.write_comparison(&mut text, row, bar);
        }
        for section in Section::value_variants() {
            let rows: Vec<_> = self.figures.rows.iter().filter(|row| row.section == *section).collect();
            if !rows.is_empty() {
                let _ = write!(text, "\n## {}\n\n{MEASURED}", section.title());
            }
            for row in rows {
                write_measured(&mut text, row);
            }
        }
        let _ = write!(text, "\n## Every order counted\n\n{}", self.counts.table());
        text
    }

    /// A bar without its figures is left open.
    fn write_comparison(&self, text: &mut String, row: &Row, bar: &Bar) {
        let judged = bar.judged(row, self.figures).and_then(|values| Spread::of(&values));
        let unit = bar.per.map_or_else(|| row.unit.to_string(), |per| format!("x {per}"));
        let figure = judged.map_or_else(|| "not measured |".to_owned(), Spread::text);
        let verdict = judged.map_or("", |judged| bar.demand.verdict(judged.median));
        let _ = writeln!(text, "| {} | {figure} | {unit} | {} | {verdict} |", row.name, bar.demand.text());
    }
}

fn write_measured(text: &mut String, row: &Row) {
    if let Some(spread) = Spread::of(&row.values) {
        let _ = writeln!(text, "| {} | {} | {} |", row.name, spread.text(), row.unit);
    }
}

impl Spread {
    /// Two columns.
    fn text(self) -> String {
        let Self { median, min, max } = self;
        format!("{} | {} .. {}", short(median), short(min), short(max))
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
