//! Our two services: one process per replica, told everything by its environment.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::admin;
use crate::ports::Ports;
use crate::probe::Probe;
use crate::process::{Environment, Part, Stage};
use crate::rabbitmq;
use crate::stack::{Layout, Plan};
use crate::token;

/// The command of a service that brings its tables up to date.
const MIGRATE: &str = "migrate";

pub(crate) const ORDERS: &str = "orders-service";
pub(crate) const PAYMENTS: &str = "payments-service";

/// The other ends of the links of a service.
pub(crate) const DATABASE: &str = "postgres";
pub(crate) const BROKER: &str = "rabbitmq";
/// The card processor, whose sandbox is in the same database.
pub(crate) const PROCESSOR: &str = "processor";

/// What the services stand on: the superuser's URL of the database, and where the nodes of the broker listen.
pub(crate) struct Backing<'a> {
    /// The part that is the database.
    pub(crate) primary: &'a str,
    pub(crate) postgres: &'a str,
    pub(crate) brokers: &'a [u16],
}

/// A service, and its logins to the database.
struct Service {
    name: &'static str,
    /// At the broker, of a user that is called as the service.
    broker_password: &'static str,
    logins: &'static [Login],
}

/// The two roles that `migrations/bootstrap.sql` makes for a schema.
struct Login {
    /// The other end, as a link names it.
    to: &'static str,
    variable: &'static str,
    schema: &'static str,
    role: &'static str,
}

const SERVICES: [Service; 2] = [
    Service {
        name: ORDERS,
        broker_password: "orders-demo-password",
        logins: &[Login { to: DATABASE, variable: "DATABASE_URL", schema: "orders", role: "orders_service" }],
    },
    Service {
        name: PAYMENTS,
        broker_password: "payments-demo-password",
        logins: &[
            Login { to: DATABASE, variable: "DATABASE_URL", schema: "payments", role: "payments_service" },
            Login { to: PROCESSOR, variable: "SANDBOX_DATABASE_URL", schema: "sandbox", role: "sandbox_processor" },
        ],
    },
];

pub(crate) fn prepare(layout: &Layout, free: &mut Ports, plan: &Plan, backing: &Backing) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let auth = token::settings()?;
    for service in &SERVICES {
        let program = plan.binaries.join(service.name);
        ensure!(program.is_file(), "{} is missing", program.display());
        let migration = migration(layout, service, &program, backing)?;
        let mut needs = vec![backing.primary.to_owned(), migration.name.clone()];
        if backing.brokers.len() > 1 {
            // A queue that is made while one of them starts may never have a leader (seen with RabbitMQ 3.10).
            needs.extend((1..=backing.brokers.len()).map(rabbitmq::name_of));
        }
        parts.push(migration);
        for replica in 1..=plan.replicas {
            let name = name_of(service.name, replica);
            let public = free.get(&name)?;
            let admin = free.get(&format!("{name}-admin"))?;
            let detour =
                |to, url: &str| by_detour(url, |server, own| plan.detours.port(&name, &name_of(to, server), own));
            let brokers = backing.brokers.iter().zip(1..);
            let brokers = brokers.map(|(own, node)| plan.detours.port(&name, &rabbitmq::name_of(node), *own));
            let amqp = rabbitmq::url(service.name, service.broker_password, &brokers.collect::<Vec<_>>());
            let mut variables = vec![
                ("ADMIN_TOKEN".to_owned(), admin::token()?),
                // It has been read.
                ("ADMIN_TOKEN_FILE".to_owned(), String::new()),
                ("AMQP_URL".to_owned(), amqp),
                ("LISTEN_ADDR".to_owned(), format!("127.0.0.1:{public}")),
                ("ADMIN_ADDR".to_owned(), format!("127.0.0.1:{admin}")),
            ];
            variables.extend(auth.iter().cloned());
            variables.extend(service.logins.iter().map(|login| {
                let url = url_as(login.role, &format!("{}-demo-password", login.schema), backing.postgres);
                (login.variable.to_owned(), detour(login.to, &url))
            }));
            parts.push(Part {
                folder: layout.folder(&name)?,
                log: layout.log(&name),
                name,
                stage: Stage::Services,
                listed: true,
                program: program.clone(),
                args: Vec::new(),
                environment: Environment::Inherited,
                variables,
                user: None,
                ports: vec![public, admin],
                needs: needs.clone(),
                ready: Probe::Http(format!("http://127.0.0.1:{admin}/health/ready")),
                stop: Signal::SIGTERM,
                patience: Duration::from_secs(12),
                orphaned: Signal::SIGKILL,
            });
        }
    }
    Ok(parts)
}

pub(crate) fn name_of(service: &str, replica: usize) -> String {
    if replica == 1 { service.to_owned() } else { format!("{service}-{replica}") }
}

/// The URL with other ports of the servers that it names, the first of which is called 1.
fn by_detour(url: &str, mut other: impl FnMut(usize, u16) -> u16) -> String {
    let (login, rest) = url.rsplit_once('@').unwrap_or(("", url));
    let (servers, path) = rest.split_once('/').unwrap_or((rest, ""));
    let detour = |(server, number): (&str, usize)| match server.rsplit_once(':') {
        Some((host, port)) => port.parse().map(|own| format!("{host}:{}", other(number, own))).ok(),
        None => None,
    };
    let servers: Option<Vec<_>> = servers.split(',').zip(1..).map(detour).collect();
    servers.map_or_else(|| url.to_owned(), |servers| format!("{login}@{}/{path}", servers.join(",")))
}

/// Brings the tables of a service up to date, as their owner, before it is started.
fn migration(layout: &Layout, service: &Service, program: &Path, backing: &Backing) -> Result<Part> {
    let name = format!("migration-of-{}", service.name);
    Ok(Part {
        folder: layout.folder(&name)?,
        log: layout.log(&name),
        name,
        stage: Stage::Services,
        listed: false,
        program: program.to_owned(),
        args: vec![MIGRATE.to_owned()],
        environment: Environment::Inherited,
        variables: as_owner(service, backing.postgres),
        user: None,
        ports: Vec::new(),
        needs: vec![backing.primary.to_owned()],
        ready: Probe::Ended,
        stop: Signal::SIGTERM,
        patience: Duration::from_secs(12),
        orphaned: Signal::SIGKILL,
    })
}

/// Brings the tables up to date at once, while who works with them goes on.
pub(crate) fn migrate(binaries: &Path, superuser: &str) -> Result<()> {
    for service in &SERVICES {
        let mut migration = Command::new(binaries.join(service.name));
        migration.arg(MIGRATE).envs(as_owner(service, superuser)).stdin(Stdio::null());
        let output = migration.output().with_context(|| format!("cannot start {}", service.name))?;
        let told = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} {MIGRATE} fails: {told}{complaint}", service.name);
    }
    Ok(())
}

/// What tells a service how to log in as who owns its tables.
fn as_owner(service: &Service, superuser: &str) -> Vec<(String, String)> {
    let owner = |login: &Login| (login.variable.to_owned(), owner_url(login.schema, superuser));
    let owners = service.logins.iter().map(owner);
    owners.chain([("AMQP_URL".to_owned(), String::new())]).collect()
}

/// The URL with another login in its place.
fn url_as(user: &str, password: &str, url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let server = rest.split_once('@').map_or(rest, |(_, server)| server);
    format!("{scheme}://{user}:{password}@{server}")
}

/// The URL of the owner of a schema.
pub(crate) fn owner_url(schema: &str, superuser: &str) -> String {
    url_as(&format!("{schema}_owner"), &format!("{schema}-owner-demo-password"), superuser)
}
