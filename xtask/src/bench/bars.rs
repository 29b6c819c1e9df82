//! What the figures are compared with, and what is demanded of them.

use super::figures::{Figures, Row};

pub(crate) const PGBENCH: &str = "pgbench, best";
pub(crate) const PGBENCH_P99: &str = "pgbench at 16 clients, p99";
pub(crate) const PGBENCH_AT_HALF_P99: &str = "pgbench at half of its best, p99";
pub(crate) const NGINX: &str = "nginx at 64 connections";
pub(crate) const ACCEPTED: &str = "orders accepted, best";
pub(crate) const CREATE_P99: &str = "create at 16 connections, p99";
pub(crate) const SAGAS: &str = "sagas, best";
pub(crate) const VISIBLE_P99: &str = "from 201 to the visible payment, p99";
pub(crate) const LOOKUPS_EMPTY: &str = "order lookup at 64 connections, hardly any orders";
pub(crate) const LOOKUP_P99_EMPTY: &str = "order lookup at half load, hardly any orders, p99";
pub(crate) const LOOKUP_P99_FEW: &str = "order lookup at half load, 10 thousand orders, p99";
pub(crate) const LOOKUP_P99_MILLION: &str = "order lookup at half load, 1 million orders, p99";
pub(crate) const LOOKUP_P99_LARGE: &str = "order lookup at half load, 10 million orders, p99";
pub(crate) const MEMORY: [&str; 2] = ["orders-service, most memory resident", "payments-service, most memory resident"];
pub(crate) const READY: [&str; 2] = ["orders-service, start to ready", "payments-service, start to ready"];

/// What is demanded.
#[derive(Clone, Copy)]
pub(crate) enum Demand {
    AtLeast(f64),
    AtMost(f64),
    LessThan(f64),
    /// Only compared.
    Nothing,
}

/// How a row is judged.
pub(crate) struct Bar {
    pub(crate) row: &'static str,
    /// The row that it is divided by, if not by one.
    pub(crate) per: Option<&'static str>,
    pub(crate) demand: Demand,
}

const BARS: &[Bar] = &[
    Bar { row: ACCEPTED, per: Some(PGBENCH), demand: Demand::AtLeast(0.8) },
    Bar { row: CREATE_P99, per: Some(PGBENCH_P99), demand: Demand::AtMost(3.0) },
    Bar { row: SAGAS, per: Some(PGBENCH), demand: Demand::AtLeast(0.25) },
    Bar { row: VISIBLE_P99, per: None, demand: Demand::LessThan(20.0) },
    Bar { row: VISIBLE_P99, per: Some(PGBENCH_AT_HALF_P99), demand: Demand::Nothing },
    Bar { row: LOOKUP_P99_MILLION, per: Some(LOOKUP_P99_EMPTY), demand: Demand::Nothing },
    Bar { row: LOOKUP_P99_LARGE, per: Some(LOOKUP_P99_EMPTY), demand: Demand::AtMost(1.2) },
    Bar { row: MEMORY[0], per: None, demand: Demand::LessThan(40.0) },
    Bar { row: MEMORY[1], per: None, demand: Demand::LessThan(40.0) },
    Bar { row: READY[0], per: None, demand: Demand::LessThan(1.0) },
    Bar { row: READY[1], per: None, demand: Demand::LessThan(1.0) },
    Bar { row: LOOKUPS_EMPTY, per: Some(NGINX), demand: Demand::Nothing },
];

impl Bar {
    pub(crate) fn all_of(row: &Row) -> impl Iterator<Item = &'static Self> {
        BARS.iter().filter(|bar| bar.row == row.name)
    }

    /// The row's values as they are judged: divided, repeat by repeat, by those of the other row.
    pub(crate) fn judged(&self, row: &Row, figures: &Figures) -> Option<Vec<f64>> {
        let Some(per) = self.per else { return Some(row.values.clone()) };
        let per = figures.row(per)?;
        let pairs = row.values.iter().zip(&per.values);
        (row.values.len() == per.values.len()).then(|| pairs.map(|(value, per)| value / per).collect())
    }
}

impl Demand {
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bar) => value >= bar,
            Self::AtMost(bar) => value <= bar,
            Self::LessThan(bar) => value < bar,
            Self::Nothing => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Section, Unit};
    use super::*;

    #[test]
    fn a_ratio_is_that_of_the_same_repeat() {
        let mut figures = Figures::default();
        for (limit, ours) in [(1000.0, 900.0), (500.0, 250.0)] {
            figures.record(Section::Limits, PGBENCH, Unit::PerSecond, limit);
            figures.record(Section::Create, ACCEPTED, Unit::PerSecond, ours);
        }
        let row = figures.row(ACCEPTED).expect("it was recorded");
        let judged = Bar::all_of(row).next().and_then(|bar| bar.judged(row, &figures)).expect("both were measured");
        assert_eq!(judged.iter().map(|ratio| ratio.to_bits()).collect::<Vec<_>>(), [0.9_f64, 0.5].map(f64::to_bits));
    }

    #[test]
    fn a_ratio_to_what_was_not_measured_is_open() {
        let mut figures = Figures::default();
        figures.record(Section::Create, ACCEPTED, Unit::PerSecond, 1.0);
        let row = figures.row(ACCEPTED).expect("it was recorded");
        assert!(Bar::all_of(row).next().and_then(|bar| bar.judged(row, &figures)).is_none());
    }
}
