//! Our two services: one process per replica, told everything by its environment.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use std::time::Duration;

use crate::admin;
use crate::ports::Ports;
use crate::probe::Probe;
use crate::process::{Environment, Part, Stage};
use crate::stack::{Layout, Plan};
use crate::token;

pub(crate) const ORDERS: &str = "orders-service";
pub(crate) const PAYMENTS: &str = "payments-service";

/// The other ends of the links of a service.
pub(crate) const DATABASE: &str = "postgres";
pub(crate) const BROKER: &str = "rabbitmq";
/// The card processor, whose sandbox is in the same database.
pub(crate) const PROCESSOR: &str = "processor";

/// What the services stand on: the superuser's URL of the database, and the broker's.
pub(crate) struct Backing<'a> {
    pub(crate) postgres: &'a str,
    pub(crate) amqp: &'a str,
}

/// A role of `migrations/bootstrap.sql`.
struct Role {
    /// The other end, as a link names it.
    of: &'static str,
    variable: &'static str,
    name: &'static str,
    password: &'static str,
}

const ORDERS_ROLES: &[Role] =
    &[Role { of: DATABASE, variable: "DATABASE_URL", name: "orders_service", password: "orders-demo-password" }];
const PAYMENTS_ROLES: &[Role] = &[
    Role { of: DATABASE, variable: "DATABASE_URL", name: "payments_service", password: "payments-demo-password" },
    Role {
        of: PROCESSOR,
        variable: "SANDBOX_DATABASE_URL",
        name: "sandbox_processor",
        password: "sandbox-demo-password",
    },
];

pub(crate) fn prepare(layout: &Layout, free: &mut Ports, plan: &Plan, backing: &Backing) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let auth = token::settings()?;
    for (service, roles) in [(ORDERS, ORDERS_ROLES), (PAYMENTS, PAYMENTS_ROLES)] {
        let program = plan.binaries.join(service);
        ensure!(program.is_file(), "{} is missing", program.display());
        for replica in 1..=plan.replicas {
            let name = name_of(service, replica);
            let public = free.get(&name)?;
            let admin = free.get(&format!("{name}-admin"))?;
            let detour = |to: &str, url: &str| by_detour(url, |own| plan.detours.port(&name, to, own));
            let mut variables = vec![
                ("ADMIN_TOKEN".to_owned(), admin::token()),
                ("AMQP_URL".to_owned(), detour(BROKER, backing.amqp)),
                ("LISTEN_ADDR".to_owned(), format!("127.0.0.1:{public}")),
                ("ADMIN_ADDR".to_owned(), format!("127.0.0.1:{admin}")),
            ];
            variables.extend(auth.iter().cloned());
            variables.extend(roles.iter().map(|role| {
                let url = detour(role.of, &url_of(role, backing.postgres));
                (role.variable.to_owned(), url)
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
                needs: vec!["postgres"],
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

/// The URL with another port.
fn by_detour(url: &str, other: impl FnOnce(u16) -> u16) -> String {
    let Some((start, rest)) = url.rsplit_once(':') else { return url.to_owned() };
    let (port, path) = rest.split_once('/').unwrap_or((rest, ""));
    port.parse().map_or_else(|_| url.to_owned(), |own| format!("{start}:{}/{path}", other(own)))
}

/// The superuser's URL with the role in its place.
fn url_of(role: &Role, superuser: &str) -> String {
    let server = superuser.split_once('@').map_or(superuser, |(_, server)| server);
    format!("postgres://{}:{}@{server}", role.name, role.password)
}

/// The roles that migrations run as, by the folder of the migrations.
pub(crate) fn migration_url(folder: &str, superuser: &str) -> Option<String> {
    let role = match folder {
        "orders" => &ORDERS_ROLES[0],
        "payments" => &PAYMENTS_ROLES[0],
        "sandbox" => &PAYMENTS_ROLES[1],
        _ => return None,
    };
    Some(url_of(role, superuser))
}
