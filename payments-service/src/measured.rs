//! A card processor whose answers are measured, and seen in the traces of what asked for them.

use std::time::Instant;

use async_trait::async_trait;
use prometheus_client::encoding::EncodeLabelSet;
use service_kit::metrics::{Histograms, Metrics, durations};
use service_kit::spans::{Span, SpanKind};

use crate::processor::{AttemptId, CardProcessor, Charge, NoAnswer, Record, Verdict, VoidRequest};

/// Asks another processor, and counts how long it takes and how it ends.
pub struct Measured<Processor> {
    inner: Processor,
    durations: Histograms<Labels>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    operation: &'static str,
    outcome: &'static str,
}

impl<Processor> Measured<Processor> {
    /// The same processor, measured.
    pub fn new(inner: Processor, metrics: &Metrics) -> Self {
        let (name, help) = ("processor_request_duration_seconds", "From asking the card processor until its answer");
        Self { inner, durations: metrics.register(name, help, durations()) }
    }

    async fn measure<T>(
        &self,
        operation: &'static str,
        asking: impl Future<Output = Result<T, NoAnswer>>,
        outcome: fn(&T) -> &'static str,
    ) -> Result<T, NoAnswer> {
        let began = Instant::now();
        let mut span = Span::within(SpanKind::Client, || format!("card processor: {operation}").into());
        let answer = asking.await;
        let outcome = answer.as_ref().map_or("no_answer", outcome);
        span.set("outcome", outcome);
        if let Err(NoAnswer(why)) = &answer {
            span.fail(why.clone());
        }
        drop(span);
        self.durations.get_or_create(&Labels { operation, outcome }).observe(began.elapsed().as_secs_f64());
        answer
    }
}

#[async_trait]
impl<Processor: CardProcessor> CardProcessor for Measured<Processor> {
    async fn charge(&self, charge: Charge) -> Result<Verdict, NoAnswer> {
        self.measure("charge", self.inner.charge(charge), of_verdict).await
    }

    async fn look_up(&self, attempt_id: AttemptId) -> Result<Record, NoAnswer> {
        self.measure("look_up", self.inner.look_up(attempt_id), of_record).await
    }

    async fn void(&self, charge: VoidRequest) -> Result<Record, NoAnswer> {
        self.measure("void", self.inner.void(charge), of_record).await
    }

    async fn refund(&self, attempt_id: AttemptId) -> Result<(), NoAnswer> {
        self.measure("refund", self.inner.refund(attempt_id), |()| "refunded").await
    }
}

fn of_verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Approved => "approved",
        Verdict::Declined(_) => "declined",
        Verdict::Voided => "voided",
    }
}

fn of_record(record: &Record) -> &'static str {
    match record {
        Record::Ended(verdict) => of_verdict(verdict),
        Record::Refunded => "refunded",
        Record::NotFound => "not_found",
    }
}
