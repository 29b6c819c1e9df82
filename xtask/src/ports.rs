//! Private ports on the loopback interface, chosen once per stack and kept in its folder while they stay free.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// Below the range the kernel takes outgoing connections from: a port of ours is not lost while its process restarts.
const RANGE: std::ops::Range<u16> = 18_000..32_000;

/// The ports of one stack by their purpose.
pub(crate) struct Ports {
    file: PathBuf,
    chosen: BTreeMap<String, u16>,
    taken: Vec<u16>,
}

impl Ports {
    pub(crate) fn load(dir: &Path) -> Self {
        let file = dir.join("ports.json");
        let chosen = fs::read(&file).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        Self { file, chosen, taken: Vec::new() }
    }

    /// Whether a stack has run in the folder.
    pub(crate) fn are_chosen_in(dir: &Path) -> bool {
        dir.join("ports.json").is_file()
    }

    /// The port kept for a purpose, or another one if something else listens there by now.
    pub(crate) fn get(&mut self, purpose: &str) -> Result<u16> {
        let kept = self.chosen.get(purpose).copied().filter(|port| self.is_available(*port));
        let port = match kept {
            Some(port) => port,
            None => (0..RANGE.end - RANGE.start)
                .map(|step| RANGE.start + (seed() + step) % (RANGE.end - RANGE.start))
                .find(|port| self.is_available(*port) && !self.chosen.values().any(|chosen| chosen == port))
                .context("no free port")?,
        };
        self.taken.push(port);
        self.chosen.insert(purpose.to_owned(), port);
        Ok(port)
    }

    pub(crate) fn save(&self) -> Result<()> {
        Ok(fs::write(&self.file, serde_json::to_vec_pretty(&self.chosen)?)?)
    }

    fn is_available(&self, port: u16) -> bool {
        !self.taken.contains(&port) && is_free(Ipv4Addr::LOCALHOST.into(), port)
    }
}

/// Whether nothing listens there.
pub(crate) fn is_free(address: IpAddr, port: u16) -> bool {
    TcpListener::bind((address, port)).is_ok()
}

/// Two stacks that start at the same moment should not try the same ports.
fn seed() -> u16 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    let span = u32::from(RANGE.end - RANGE.start);
    u16::try_from((nanos / 1000 + process::id().wrapping_mul(97)) % span).unwrap_or_default()
}
