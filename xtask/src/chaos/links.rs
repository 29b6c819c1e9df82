//! The links between the processes, each led through a proxy.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::OnceLock;

use anyhow::Result;

use super::proxy::Proxy;
use crate::ports::Ports;
use crate::services::{BROKER, DATABASE, ORDERS, PAYMENTS, PROCESSOR, name_of};
use crate::stack::Detours;
use crate::{nginx, state};

/// The proxies by the names of their links.
pub(crate) type Proxies = BTreeMap<String, Proxy>;

/// Starts a proxy on every link, before there is anything that it leads to. The service's own processes, the nodes of the
/// broker and the database servers are so many.
pub(crate) fn start(dir: &Path, replicas: usize, nodes: usize, servers: usize) -> Result<(Proxies, Detours)> {
    let mut free = Ports::load(dir);
    let (mut proxies, mut detours) = (Proxies::new(), Detours::default());
    for service in [ORDERS, PAYMENTS] {
        for replica in 1..=replicas {
            let name = name_of(service, replica);
            let from_it =
                |to: &str, process: &str, number| (name.clone(), name_of(to, number), name_of(process, number));
            let mut links = vec![(nginx::NAME.to_owned(), name.clone(), name.clone())];
            links.extend((1..=servers).map(|server| from_it(DATABASE, DATABASE, server)));
            links.extend((1..=nodes).map(|node| from_it(BROKER, BROKER, node)));
            if service == PAYMENTS {
                links.extend((1..=servers).map(|server| from_it(PROCESSOR, DATABASE, server)));
            }
            for (from, to, process) in links {
                let link = format!("{from}->{to}");
                let port = free.get(&link)?;
                proxies.insert(link.clone(), Proxy::start(port, port_of(dir, &process))?);
                detours.0.insert(link, port);
            }
        }
    }
    Ok((proxies, detours))
}

/// The process's own port, which it has for the whole run; the stack chooses it after the proxies are there.
fn port_of(dir: &Path, process: &str) -> Box<dyn Fn() -> Option<SocketAddr> + Send + Sync> {
    let (dir, process, known) = (dir.to_owned(), process.to_owned(), OnceLock::new());
    Box::new(move || {
        if known.get().is_none() {
            let state = state::peek(&dir)?;
            let found = state.processes.iter().find(|candidate| candidate.name == process)?;
            let _ = known.set(SocketAddr::from((Ipv4Addr::LOCALHOST, *found.ports.first()?)));
        }
        known.get().copied()
    })
}
