//! The orders service: takes orders, learns from the payments service how they are paid, delivers them in time.
//!
//! In reading order: an order and what can happen to it ([`order`], [`new_order`]), how it is stored ([`orders`], [`placing`],
//! [`finding`], [`changing`]), what makes things happen: requests ([`http`]), events ([`payment_events`]) and the clock
//! ([`timers`]); and who follows what has happened ([`changes`], [`snapshot`]): open streams ([`live`], [`streams`]) and
//! [`webhooks`]. Operators look at [`backlog`] and [`operations`].

pub mod changing;
pub mod finding;
pub mod new_order;
pub mod order;
#[cfg(test)]
mod order_tests;
pub mod orders;
pub mod placing;

pub mod http;
pub mod openapi;
pub mod payment_events;
pub mod problems;
pub mod timers;

pub mod changes;
pub mod live;
pub mod snapshot;
#[cfg(test)]
mod snapshot_tests;
pub mod streams;
pub mod webhooks;

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
use crate::live::Live;
use crate::placing::Placing;
use crate::timers::Timed;
use crate::webhooks::client::Client;
use crate::webhooks::fan_out;
use crate::webhooks::measured::Measured;
use crate::webhooks::resealing;
use crate::webhooks::sealing::Keys;
use crate::webhooks::sending::{self, Sending};
use crate::webhooks::target::Targets;

/// How others know this service.
pub const NAME: &str = "orders-service";
/// The schema that belongs to this service.
pub const SCHEMA: &str = "orders";
/// The events that this service publishes.
pub const EVENTS: &[&str] = &[PaymentCreate::NAME, PaymentCancel::NAME];
/// The tables of the schema.
pub static MIGRATOR: Migrator = sqlx::migrate!("../migrations/orders");

/// What everything in the service works with, shared: axum clones it several times for each request.
#[derive(Clone)]
pub struct App(Arc<Workings>);

/// The parts of an [`App`].
pub struct Workings {
    /// The service's own login to PostgreSQL.
    pub database: Database,
    /// Takes committed events to the relay.
    pub outbox: Outbox,
    /// How long after its payment an order is delivered.
    pub delivery_delay: Duration,
    /// Tells open streams what has changed.
    pub live: Live,
    /// Where webhooks may go.
    pub webhook_targets: Targets,
    /// What their secrets are sealed with.
    pub webhook_keys: Keys,
    placing: Placing,
    finding: Finding,
    changing: Changing,
    timed: Timed,
    claims: Claims,
    authenticator: Authenticator,
}

impl App {
    /// The workings of a service.
    pub fn new(database: Database, outbox: Outbox, metrics: &Metrics, config: &Config) -> anyhow::Result<Self> {
        let placing = placing::start(database.clone(), outbox.clone(), metrics, config.unpaid_expiry);
        let finding = Finding::start(database.clone(), metrics);
        let changing = changing::start(database.clone(), outbox.clone(), metrics, config.delivery_delay);
        let authenticator = Authenticator::new(&config.settings.auth)?;
        let claims = Claims::new(config.settings.idempotency_secret.clone());
        let live = Live::new(database.clone(), config.max_streams);
        let delivery_delay = config.delivery_delay;
        let (webhook_targets, webhook_keys) = (config.webhook_targets, Keys::new(&config.webhook_secret_keys));
        Ok(Self(Arc::new(Workings {
            database,
            outbox,
            delivery_delay,
            live,
            webhook_targets,
            webhook_keys,
            placing,
            finding,
            changing,
            timed: Timed::new(metrics),
            claims,
            authenticator,
        })))
    }
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
    let Config { settings, .. } = &config;
    let database = Database::connect_lazy(&settings.database_url, settings.database_max_connections)?;
    let mut parts = Parts::new(stop.clone());
    let readiness = Readiness::default();
    let metrics = Metrics::default();
    let broker = Broker::new(settings, NAME, EVENTS)?.counted_in(metrics.clone());
    let (outbox, relay) = outbox::open(database.clone(), broker.clone(), SCHEMA, EVENTS);
    let app = App::new(database.clone(), outbox, &metrics, &config)?;
    let routes = http::routes(app.clone());
    let client = Client::new(config.webhook_targets, config.webhook_timeout, config.webhook_ca_file.as_deref())?;
    let measured = Measured::new(&metrics);

    let admin = Admin {
        database: database.clone(),
        schema: SCHEMA,
        readiness: readiness.clone(),
        authenticator: app.authenticator.clone(),
        metrics: metrics.clone(),
        figures: backlog::figures(database.clone()),
        own_routes: operations::routes(database.clone()),
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
        let events = app.clone();
        let subscriptions = vec![
            Subscription::new(&broker, move |batch| payment_events::on_payment_processed(events.clone(), batch)),
            Subscription::dead_letters::<PaymentProcessed>(&broker),
            Subscription::receipts::<PaymentCreate>(&broker, app.outbox.clone()),
            Subscription::receipts::<PaymentCancel>(&broker, app.outbox.clone()),
        ];
        consumer::run(broker, database.clone(), SCHEMA, app.outbox.clone(), subscriptions, stop)
    });
    parts.start("old keys", |stop| {
        idempotency::forget_old_keys(database.clone(), SCHEMA, settings.idempotency_key_retention, stop)
    });
    parts.start("streams", |stop| app.live.clone().run(stop));
    parts.start("old changes", |stop| changes::forget_old(database.clone(), stop));
    parts.start("webhooks", |stop| {
        Sending::new(database.clone(), client, app.webhook_keys.clone(), measured, stop).run()
    });
    parts.start("secrets of webhooks", |stop| resealing::run(database.clone(), app.webhook_keys.clone(), stop));
    parts.start("changes for webhooks", |stop| fan_out::run(database.clone(), stop));
    parts.start("old webhook deliveries", |stop| sending::forget_old(database, stop));
    parts.start("timers", |stop| timers::run(app, stop));
    parts.finish().await
}

/// Sees that the tables are there. `Ok(false)` when told to stop first.
async fn prepare(config: &Config, stop: &CancellationToken) -> anyhow::Result<bool> {
    database::prepare(&config.settings.database_url, SCHEMA, &MIGRATOR, &config.settings, stop).await
}
