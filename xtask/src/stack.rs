//! What a running system consists of, and where it keeps its things. A plan says how much of it is wanted.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::archive::{self, Archive};
use crate::ports::Ports;
use crate::process::Part;
use crate::standby::Standby;
use crate::{nginx, paths, postgres, rabbitmq, services};

/// How a stack is to be run; handed to the supervisor as `plan.json` in the stack's folder.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) extent: Extent,
    pub(crate) data: Data,
    pub(crate) durability: Durability,
    pub(crate) listen: IpAddr,
    pub(crate) port: u16,
    /// More are refused by the gateway.
    pub(crate) gateway_max_concurrent_requests: u32,
    pub(crate) gateway_max_streams: u32,
    /// Otherwise the gateway speaks plain HTTP.
    #[serde(default)]
    pub(crate) gateway_tls: Option<Tls>,
    /// Where the database is backed up to.
    #[serde(default)]
    pub(crate) archive: Option<PathBuf>,
    #[serde(default)]
    pub(crate) standby: Standby,
    pub(crate) replicas: usize,
    /// Nodes of RabbitMQ.
    #[serde(default = "one")]
    pub(crate) brokers: usize,
    /// The folder with the services' binaries.
    pub(crate) binaries: PathBuf,
    /// The roles and schemas of another version than ours.
    #[serde(default)]
    pub(crate) bootstrap: Option<PathBuf>,
    #[serde(default)]
    pub(crate) detours: Detours,
    /// Further variables of single parts, by the part's name.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, Vec<(String, String)>>,
}

/// What older plans do not say.
fn one() -> usize {
    1
}

/// Links on which one part reaches another through somebody else's port. A link is named `orders-service->postgres`.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Detours(pub(crate) BTreeMap<String, u16>);

impl Detours {
    /// The port to use on a link, which is the other part's own unless there is a detour.
    pub(crate) fn port(&self, from: &str, to: &str, own: u16) -> u16 {
        self.0.get(&format!("{from}->{to}")).copied().unwrap_or(own)
    }
}

/// Who the gateway is for clients that want to know.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Tls {
    /// The certificate and those that lead to its authority, as PEM.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// How much of the system is run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Extent {
    Database,
    /// Database and broker.
    Backing,
    Whole,
}

/// What becomes of the data of an earlier run.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Data {
    Kept,
    Wiped,
}

/// Whether a commit reaches the disk. Tests throw their data away.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Durability {
    Full,
    None,
}

/// A stack ready to be started.
pub(crate) struct Stack {
    pub(crate) gateway: String,
    pub(crate) postgres: String,
    pub(crate) amqp: String,
    pub(crate) parts: Vec<Part>,
}

impl Plan {
    /// A throw-away stack for tests.
    pub(crate) fn for_tests(extent: Extent) -> Self {
        Self {
            extent,
            data: Data::Wiped,
            durability: Durability::None,
            listen: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            gateway_max_concurrent_requests: nginx::MAX_CONCURRENT_REQUESTS,
            gateway_max_streams: nginx::MAX_STREAMS,
            gateway_tls: None,
            archive: None,
            standby: Standby::None,
            replicas: 1,
            brokers: 1,
            binaries: PathBuf::new(),
            bootstrap: None,
            detours: Detours::default(),
            variables: BTreeMap::new(),
        }
    }

    pub(crate) fn save(&self, dir: &Path) -> Result<()> {
        Ok(fs::write(dir.join("plan.json"), serde_json::to_vec_pretty(self)?)?)
    }

    pub(crate) fn load(dir: &Path) -> Result<Self> {
        Ok(serde_json::from_slice(&fs::read(dir.join("plan.json")).context("nothing was planned here")?)?)
    }
}

/// Makes folders, data and configuration ready and says what to run.
pub(crate) fn prepare(dir: &Path, plan: &Plan) -> Result<Stack> {
    let mut free = Ports::load(dir);
    // Each run has its own logs; restarts within it go on in the same file.
    let logs = dir.join("log");
    if logs.is_dir() {
        fs::remove_dir_all(&logs)?;
    }
    fs::create_dir(&logs)?;
    let layout = Layout { dir, logs: &logs };

    let database = postgres::prepare(&layout, &mut free, plan)?;
    let postgres = database.url.clone();
    let mut parts = database.servers;
    if let Some(folder) = &plan.archive {
        parts.push(archive::prepare(&layout, &postgres, &parts[0].name, &Archive::at(folder))?);
    }
    let (mut amqp, mut brokers) = (String::new(), Vec::new());
    let mut gateway = String::new();
    if plan.extent >= Extent::Backing {
        let broker = rabbitmq::prepare(&layout, &mut free, plan.brokers)?;
        (amqp, brokers) = (broker.url(), broker.ports);
        parts.extend(broker.parts);
    }
    if plan.extent == Extent::Whole {
        let port = if plan.port == 0 { free.get("gateway")? } else { plan.port };
        let primary = &parts[0].name;
        let backing = services::Backing { primary, postgres: &postgres, brokers: &brokers };
        let services = services::prepare(&layout, &mut free, plan, &backing)?;
        let listen = SocketAddr::new(plan.listen, port);
        let scheme = if plan.gateway_tls.is_some() { "https" } else { "http" };
        gateway = format!("{scheme}://{}", nginx::reachable(listen));
        let front = nginx::prepare(&layout, listen, &services, plan)?;
        parts.extend(services);
        parts.push(front);
    }
    free.save()?;
    for part in &mut parts {
        part.variables.extend(plan.variables.get(&part.name).cloned().unwrap_or_default());
    }
    Ok(Stack { gateway, postgres, amqp, parts })
}

/// Where a stack keeps its things.
pub(crate) struct Layout<'a> {
    pub(crate) dir: &'a Path,
    logs: &'a Path,
}

impl Layout<'_> {
    /// A folder of the part's own, also its working folder.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        paths::open_dir(&self.dir.join(name))
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}

/// What a stack keeps in its folder when everything else is wiped.
const KEPT: [&str; 3] = ["lock", "plan.json", "supervisor.log"];

/// Removes everything of an earlier run but what is [`KEPT`]. A folder that is not a stack's was named by mistake.
pub(crate) fn wipe(dir: &Path) -> Result<()> {
    let entries = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    let is_kept = |entry: &DirEntry| KEPT.iter().any(|kept| entry.file_name() == *kept);
    let is_ours = Ports::are_chosen_in(dir) || entries.iter().all(is_kept);
    ensure!(is_ours, "{} is not the folder of a stack and is left as it is", dir.display());
    postgres::remove_data(dir)?;
    for entry in entries.iter().filter(|entry| !is_kept(entry)) {
        let path = entry.path();
        if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    Ok(())
}
