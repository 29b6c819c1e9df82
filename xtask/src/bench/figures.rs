//! What was measured: a row for each figure with its value in each repeat.

use std::fmt;

use clap::ValueEnum;

/// What can be measured by itself, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Section {
    /// What PostgreSQL and nginx can do without us.
    Limits,
    /// Orders placed, as fast as they are accepted.
    Create,
    /// Orders placed, paid and confirmed.
    Saga,
    /// How long a client waits for what follows, at half load.
    Latency,
    /// Reads and creates with many orders in the tables.
    Volume,
    /// CPU, memory, disk and the start.
    Cost,
    /// Fewer cores, more replicas.
    Scaling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    PerSecond,
    Milliseconds,
    Seconds,
    /// CPU time.
    Microseconds,
    Mebibytes,
    Bytes,
    Orders,
    Percent,
    TimesForetold,
}

/// One figure.
pub(crate) struct Row {
    pub(crate) section: Section,
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) values: Vec<f64>,
}

/// All figures, in the order in which they were first measured.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) rows: Vec<Row>,
}

impl Section {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Limits => "The limits: the same rows with pgbench, and nginx before a handler that does nothing",
            Self::Create => "Orders placed through the gateway",
            Self::Saga => "Whole sagas: create, pay, confirmed",
            Self::Latency => "What follows, as a client sees it, at half load",
            Self::Volume => "With many orders in the tables",
            Self::Cost => "What it costs",
            Self::Scaling => "On fewer cores, with more replicas",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PerSecond => "/s",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Microseconds => "µs",
            Self::Mebibytes => "MiB",
            Self::Bytes => "bytes",
            Self::Orders => "orders",
            Self::Percent => "%",
            Self::TimesForetold => "x foretold",
        })
    }
}

impl Figures {
    pub(crate) fn record(&mut self, section: Section, name: impl Into<String>, unit: Unit, value: f64) {
        let name = name.into();
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.values.push(value),
            None => self.rows.push(Row { section, name, unit, values: vec![value] }),
        }
    }

    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The value of the last repeat.
    pub(crate) fn last(&self, name: &str) -> Option<f64> {
        self.row(name)?.values.last().copied()
    }
}

/// The middle one, and the extremes.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// None of nothing.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { median, min, max })
    }
}

/// A number with about three digits that count.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let check = |values: &[f64], expected: f64| {
            assert_eq!(
                Spread::of(values).map(|spread| spread.median.to_bits()),
                Some(expected.to_bits()),
                "{values:?}"
            );
        };
        check(&[3.0, 1.0, 2.0], 2.0);
        check(&[4.0, 1.0, 2.0, 3.0], 2.5);
        assert!(Spread::of(&[]).is_none());
    }
}
