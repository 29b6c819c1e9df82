//! What operators watch of the sending of webhooks.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use service_kit::metrics::{Histograms, Metrics, durations};

use crate::webhooks::client::{Answer, Failure};
use crate::webhooks::schedule::Verdict;

/// Counts how attempts end, and who is given up. Copies count together.
#[derive(Clone)]
pub struct Measured {
    attempts: Histograms<AttemptLabels>,
    disabled: Family<DisabledLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DisabledLabels {
    reason: &'static str,
}

impl Measured {
    /// Counts among these metrics, all from 0, so that the first is seen as an increase.
    pub fn new(metrics: &Metrics) -> Self {
        let help = "From looking a receiver of webhooks up until its answer";
        let attempts = metrics.register("webhook_request_duration_seconds", help, durations());
        let help = "Webhooks that were disabled because their receivers took nothing";
        let disabled = metrics.register("webhooks_disabled", help, Family::default());
        for outcome in ["delivered", "refused", "no_answer"] {
            drop(attempts.get_or_create(&AttemptLabels { outcome }));
        }
        for reason in ["gone", "failing"] {
            drop(disabled.get_or_create(&DisabledLabels { reason }));
        }
        Self { attempts, disabled }
    }

    /// An attempt has ended, and how long it took.
    pub(crate) fn attempt(&self, verdict: Verdict, outcome: &Result<Answer, Failure>, took: Duration) {
        let outcome = match (verdict, outcome) {
            (Verdict::Delivered, _) => "delivered",
            (_, Ok(_)) => "refused",
            (_, Err(_)) => "no_answer",
        };
        self.attempts.get_or_create(&AttemptLabels { outcome }).observe(took.as_secs_f64());
    }

    /// A webhook was disabled for how attempts have ended.
    pub(crate) fn disabled(&self, verdict: Verdict) {
        let reason = if verdict == Verdict::Gone { "gone" } else { "failing" };
        self.disabled.get_or_create(&DisabledLabels { reason }).inc();
    }
}
