//! What is read at the moment when somebody asks for metrics.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// A metric without labels. One that is not known is left out: a number that is no longer true would be believed.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    name: &'static str,
    help: &'static str,
    value: Value,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Count(i64),
    Seconds(f64),
    Total(u64),
    SecondsTotal(f64),
}

/// Reads what only the tables of one service know.
pub type Figures = Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<Figure>, sqlx::Error>> + Send + Sync>;

/// What `read` reads, each time anew.
pub fn figures_of<Reading>(read: impl Fn() -> Reading + Send + Sync + 'static) -> Figures
where
    Reading: Future<Output = Result<Vec<Figure>, sqlx::Error>> + Send + 'static,
{
    Arc::new(move || read().boxed())
}

impl Figure {
    /// How many there are now.
    pub fn count(name: &'static str, help: &'static str, value: i64) -> Self {
        Self { name, help, value: Value::Count(value) }
    }

    /// An age or a time.
    pub fn seconds(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, value: Value::Seconds(value) }
    }

    /// How often something has happened since the start. The name is given without the suffix `_total`.
    pub fn total(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, value: Value::Total(value) }
    }

    /// How much time was spent since the start. The name is given without the suffix `_total`.
    pub fn seconds_total(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, value: Value::SecondsTotal(value) }
    }
}

pub(super) fn registry_of(figures: &[Figure]) -> Registry {
    let mut registry = Registry::default();
    for Figure { name, help, value } in figures {
        match *value {
            Value::Count(value) => registry.register(*name, *help, ConstGauge::new(value)),
            Value::Seconds(value) => registry.register(*name, *help, ConstGauge::new(value)),
            Value::Total(value) => registry.register(*name, *help, ConstCounter::new(value)),
            Value::SecondsTotal(value) => registry.register(*name, *help, ConstCounter::new(value)),
        }
    }
    registry
}
