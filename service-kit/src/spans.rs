//! Spans for OpenTelemetry: what has happened as part of which trace, sent by OTLP to wherever the settings say.
//!
//! Off unless [`start`] was called and the collector can be reached, and then all of this costs a look at one variable. A
//! collector that goes away is looked for again every few seconds, and costs no more than that meanwhile. A span is made of the
//! `traceparent` that requests and events carry anyway, not of the logs' spans: a batch has many parents, and what is
//! done for each of them is told to each. So there is no context but that of [`trace_context`].

use std::borrow::Cow;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use async_trait::async_trait;
pub use opentelemetry::Value;
pub use opentelemetry::trace::SpanKind;
use opentelemetry::trace::{SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor};
use tracing::{info, warn};

use crate::trace_context;

mod messaging;
mod requests;

pub(crate) use messaging::{of_processing, of_publishing};
pub(crate) use requests::of_request;

/// How long the collector may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often it is looked for while it is away.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long the last spans may take to be sent when a process ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// One for the process, as its log is.
static PROCESSOR: OnceLock<BatchSpanProcessor> = OnceLock::new();
/// Whether there is a collector that takes them.
static IS_WANTED: AtomicBool = AtomicBool::new(false);
/// Which share of new traces is sampled.
static SHARE: OnceLock<f64> = OnceLock::new();

/// From now on spans of `service` are sent to the collector at `endpoint`, for example `http://localhost:4318`; those of
/// traces that begin here, only this share of.
pub(crate) fn start(service: &'static str, endpoint: &str, share: f64) -> anyhow::Result<()> {
    anyhow::ensure!((0.0..=1.0).contains(&share), "OTEL_TRACES_SAMPLER_ARG must be from 0 to 1");
    let _ = SHARE.set(share);
    let address = address_of(endpoint).context("OTEL_EXPORTER_OTLP_ENDPOINT must be like http://localhost:4318")?;
    let agent = ureq::Agent::config_builder().timeout_global(Some(DEADLINE)).http_status_as_error(false).build();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector(agent.into()))
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .context("OTEL_EXPORTER_OTLP_ENDPOINT")?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    processor.set_resource(&Resource::builder().with_service_name(service).build());
    drop(PROCESSOR.set(processor));
    thread::Builder::new().name("collector".to_owned()).spawn(move || look_for(&address))?;
    Ok(())
}

/// The host and the port.
fn address_of(endpoint: &str) -> Option<String> {
    let uri: axum::http::Uri = endpoint.parse().ok()?;
    let port = uri.port_u16().or(match uri.scheme_str()? {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    })?;
    Some(format!("{}:{port}", uri.host()?))
}

/// Turns spans on whenever the collector is there and they are off.
fn look_for(address: &str) {
    loop {
        if !is_on() && is_there(address) {
            info!(address, "traces are sent to a collector");
            IS_WANTED.store(true, Ordering::Relaxed);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

fn is_there(address: &str) -> bool {
    let found = address.to_socket_addrs().into_iter().flatten();
    found.into_iter().any(|address| TcpStream::connect_timeout(&address, DEADLINE).is_ok())
}

/// Until it is found again.
fn give_up(reason: &str) {
    if IS_WANTED.swap(false, Ordering::Relaxed) {
        warn!(reason, "the collector did not take traces; it gets none until it is there again");
    }
}

/// Sends what is left.
pub(crate) fn stop() {
    if let Some(processor) = PROCESSOR.get() {
        // What cannot be sent is lost; nobody is left who could do something about it.
        drop(processor.shutdown_with_timeout(FAREWELL));
    }
}

/// Whether anybody wants spans.
pub fn is_on() -> bool {
    IS_WANTED.load(Ordering::Relaxed)
}

/// A new trace, sampled or not.
fn new_trace() -> String {
    let traceparent = trace_context::new_traceparent();
    // The last digits of the trace are random.
    let drawn = u32::from_str_radix(&trace_context::trace_id(&traceparent)[24..], 16).unwrap_or_default();
    let is_sampled = SHARE.get().is_none_or(|share| f64::from(drawn) < share * f64::from(u32::MAX) || *share >= 1.0);
    if is_sampled { traceparent } else { format!("{}00", &traceparent[..53]) }
}

/// Something that goes on until this is dropped; or nothing, when nobody wants to know.
#[derive(Debug, Default)]
pub struct Span(Option<Box<SpanData>>);

impl Span {
    /// Begins below the span that this `traceparent` names. What is not sampled there is not recorded here.
    pub fn below(parent: Option<&str>, kind: SpanKind, name: impl FnOnce() -> Cow<'static, str>) -> Self {
        let begin = |parent: &str| Self::begin(&trace_context::child(parent), Some(parent), kind, name());
        parent.filter(|_| is_on()).map(begin).unwrap_or_default()
    }

    /// The same below what is running.
    pub fn within(kind: SpanKind, name: impl FnOnce() -> Cow<'static, str>) -> Self {
        if is_on() { Self::below(trace_context::current().as_deref(), kind, name) } else { Self::default() }
    }

    /// Begins as the span that `traceparent` names.
    pub(crate) fn begin(traceparent: &str, parent: Option<&str>, kind: SpanKind, name: Cow<'static, str>) -> Self {
        let (Some(context), true) = (context(traceparent), is_on()) else { return Self::default() };
        if !context.is_sampled() {
            return Self::default();
        }
        let now = SystemTime::now();
        Self(Some(Box::new(SpanData {
            span_context: context,
            parent_span_id: parent.and_then(context_of_parent).unwrap_or(SpanId::INVALID),
            parent_span_is_remote: matches!(kind, SpanKind::Server | SpanKind::Consumer),
            span_kind: kind,
            name,
            start_time: now,
            end_time: now,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("order-processing").build(),
        })))
    }

    /// The same span; it began earlier.
    #[must_use]
    pub fn since(mut self, start: SystemTime) -> Self {
        if let Some(span) = &mut self.0 {
            span.start_time = start;
        }
        self
    }

    /// The same span with more to tell, under a name of the semantic conventions where there is one.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Tells more.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.attributes.push(KeyValue::new(name, value));
        }
    }

    /// It did not go well.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.0 {
            span.status = Status::error(why);
        }
    }

    /// What happens below it belongs to this; `None` if it is not recorded.
    pub fn traceparent(&self) -> Option<String> {
        let context = &self.0.as_ref()?.span_context;
        Some(format!("00-{}-{}-01", context.trace_id(), context.span_id()))
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let (Some(mut span), Some(processor)) = (self.0.take(), PROCESSOR.get()) {
            span.end_time = SystemTime::now();
            processor.on_end(*span);
        }
    }
}

fn context(traceparent: &str) -> Option<SpanContext> {
    let mut fields = traceparent.split('-').skip(1);
    let trace_id = TraceId::from_hex(fields.next()?).ok()?;
    let span_id = SpanId::from_hex(fields.next()?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(fields.next()?, 16).ok()?);
    Some(SpanContext::new(trace_id, span_id, flags, false, TraceState::default()))
}

fn context_of_parent(traceparent: &str) -> Option<SpanId> {
    Some(context(traceparent)?.span_id())
}

/// The collector, asked by the thread that batches spans.
#[derive(Debug)]
struct Collector(ureq::Agent);

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let answer = self
            .0
            .run(Request::from_parts(parts, body.to_vec()))
            .inspect_err(|problem| give_up(&problem.to_string()))?;
        let (parts, mut body) = answer.into_parts();
        if !parts.status.is_success() {
            give_up(parts.status.as_str());
        }
        Ok(Response::from_parts(parts, body.read_to_vec()?.into()))
    }
}
