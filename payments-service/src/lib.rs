//! The payments service: holds a payment for every order, charges cards, and gives the money back when it must.
//!
//! In reading order: a payment and what can happen to it ([`payment`], [`card`]), how it is stored ([`payments`],
//! [`tombstones`]), who charges cards ([`processor`], [`sandbox`]), and what makes things happen: requests ([`http`],
//! [`pay`]), events ([`order_events`]) and charges or refunds without an answer ([`doubt`], [`settlement`]). Operators look
//! at [`backlog`] and [`operations`].

pub mod answers;
pub mod card;
pub mod changing;
pub mod finding;
pub mod payment;
#[cfg(test)]
mod payment_tests;
pub mod payments;
pub mod tombstones;

pub mod doubt;
pub mod measured;
pub mod processor;
pub mod sandbox;

pub mod http;
pub mod openapi;
pub mod order_events;
pub mod pay;
pub mod problems;
pub mod settlement;
pub mod shown;

pub mod backlog;
pub mod operations;

pub mod config;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use service_kit::admin::{self, Admin};
use service_kit::auth::Authenticator;
use service_kit::broker::Broker;
use service_kit::consumer::{self, Subscription};
use service_kit::database;
use service_kit::http::{Readiness, serve as serve_http};
use service_kit::idempotency::{self, Claims};
use service_kit::listening;
use service_kit::metrics::Metrics;
use service_kit::outbox::{self, Outbox};
use service_kit::partitions;
use service_kit::pool::Database;
use service_kit::process::{Command, Parts};
use shared_events::events::{Event, PaymentCancel, PaymentCreate, PaymentProcessed};
use sqlx::migrate::Migrator;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use crate::changing::Changing;
use crate::config::Config;
use crate::finding::Finding;
use crate::measured::Measured;
use crate::processor::CardProcessor;
use crate::sandbox::Sandbox;

/// How others know this service.
pub const NAME: &str = "payments-service";
/// The schema that belongs to this service.
pub const SCHEMA: &str = "payments";
/// The events that this service publishes.
pub const EVENTS: &[&str] = &[PaymentProcessed::NAME];
/// The tables of the schema.
pub static MIGRATOR: Migrator = sqlx::migrate!("../migrations/payments");

/// What everything in the service works with, shared: axum clones it several times for each request.
#[derive(Clone)]
pub struct App(Arc<Workings>);

/// The parts of an [`App`].
pub struct Workings {
    /// The service's own login to PostgreSQL.
    pub database: Database,
    /// Takes committed events to the relay.
    pub outbox: Outbox,
    /// Who charges the cards.
    pub processor: Arc<dyn CardProcessor>,
    /// How long the processor may take to answer.
    pub processor_timeout: Duration,
    finding: Finding,
    changing: Changing,
    claims: Claims,
    authenticator: Authenticator,
}

impl App {
    /// The workings of a service.
    pub fn new(
        database: Database,
        outbox: Outbox,
        processor: Arc<dyn CardProcessor>,
        metrics: &Metrics,
        config: &Config,
    ) -> anyhow::Result<Self> {
        let finding = Finding::start(database.clone(), metrics);
        let settle_after = settle_after(config.processor_timeout);
        let changing = changing::start(database.clone(), outbox.clone(), metrics, settle_after);
        let authenticator = Authenticator::new(&config.settings.auth)?;
        let claims = Claims::new(config.settings.idempotency_secret.clone());
        let processor_timeout = config.processor_timeout;
        Ok(Self(Arc::new(Workings {
            database,
            outbox,
            processor,
            processor_timeout,
            finding,
            changing,
            claims,
            authenticator,
        })))
    }

    /// How long after its start a charge that was not answered is looked up: not while it may still be running.
    pub fn settle_after(&self) -> Duration {
        settle_after(self.processor_timeout)
    }
}

fn settle_after(processor_timeout: Duration) -> Duration {
    processor_timeout + Duration::from_secs(2)
}

impl Deref for App {
    type Target = Workings;

    fn deref(&self) -> &Workings {
        &self.0
    }
}

impl FromRef<App> for Authenticator {
    fn from_ref(app: &App) -> Self {
        app.authenticator.clone()
    }
}

/// Runs the service until `stop`, or does what the command line asks for instead.
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    if let Some(Command::Migrate) = config.command {
        if prepare(&config, &stop).await? {
            partitions::make_ahead(&config.settings.database_url, SCHEMA).await?;
        }
        return Ok(());
    }
    let settings = &config.settings;
    let socket = listening::bind(settings.listen_addr)?;
    let admin_listener = TcpListener::bind(settings.admin_addr).await?;
    serve(config, socket, admin_listener, stop).await
}

/// Runs the service on sockets that are already open, so that tests can choose them.
pub async fn serve(
    config: Config,
    socket: TcpSocket,
    admin_listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Config { settings, sandbox_database_url, .. } = &config;
    let longest_pay = config.processor_timeout + pay::TIME_AROUND_THE_PROCESSOR;
    anyhow::ensure!(
        settings.request_timeout >= longest_pay,
        "REQUEST_TIMEOUT must be at least {longest_pay:?}, so that a pay is answered also when the processor is slow"
    );
    let database = Database::connect_lazy(&settings.database_url, settings.database_max_connections)?;
    let mut parts = Parts::new(stop.clone());
    let readiness = Readiness::default();
    let metrics = Metrics::default();
    let broker = Broker::new(settings, NAME, EVENTS)?.counted_in(metrics.clone());
    let (outbox, relay) = outbox::open(database.clone(), broker.clone(), SCHEMA, EVENTS);
    let sandbox = Sandbox::new(Database::connect_lazy(sandbox_database_url, sandbox::CONNECTIONS)?);
    let processor = Arc::new(Measured::new(sandbox, &metrics));
    let app = App::new(database.clone(), outbox, processor, &metrics, &config)?;
    let routes = http::routes(app.clone());

    let admin = Admin {
        database: database.clone(),
        schema: SCHEMA,
        readiness: readiness.clone(),
        authenticator: app.authenticator.clone(),
        metrics: metrics.clone(),
        figures: backlog::figures(database.clone(), app.settle_after()),
        own_routes: operations::routes(database.clone(), app.settle_after()),
        outbox: app.outbox.clone(),
        topology: broker.topology.clone(),
        token: settings.admin_token.clone(),
        limits: settings.limits(),
    };
    parts.start("signing keys", |stop| app.authenticator.clone().keep_keys(stop));
    parts.start("admin", |stop| admin::serve(admin_listener, admin, stop));
    if !prepare(&config, &stop).await? {
        return parts.finish().await;
    }
    let listener = listening::listen(socket)?;
    readiness.declare();
    parts.start("API", |stop| serve_http(listener, routes, settings.limits(), metrics, stop));
    parts.start("outbox relay", |stop| relay.run(stop));
    parts.start("consumer", |stop| {
        let (creates, cancels) = (app.clone(), app.clone());
        let subscriptions = vec![
            Subscription::new(&broker, move |batch| order_events::on_payment_create(creates.clone(), batch)),
            Subscription::new(&broker, move |batch| order_events::on_payment_cancel(cancels.clone(), batch)),
            Subscription::dead_letters::<PaymentCreate>(&broker),
            Subscription::dead_letters::<PaymentCancel>(&broker),
            Subscription::receipts::<PaymentProcessed>(&broker, app.outbox.clone()),
        ];
        consumer::run(broker, database.clone(), SCHEMA, app.outbox.clone(), subscriptions, stop)
    });
    parts.start("old keys", |stop| {
        idempotency::forget_old_keys(database, SCHEMA, settings.idempotency_key_retention, stop)
    });
    parts.start("settlement", |stop| settlement::run(app, stop));
    parts.finish().await
}

/// Sees that the tables are there. `Ok(false)` when told to stop first.
async fn prepare(config: &Config, stop: &CancellationToken) -> anyhow::Result<bool> {
    let Config { settings, sandbox_database_url, .. } = config;
    Ok(database::prepare(&settings.database_url, SCHEMA, &MIGRATOR, settings, stop).await?
        && database::prepare(sandbox_database_url, sandbox::SCHEMA, &sandbox::MIGRATOR, settings, stop).await?)
}
