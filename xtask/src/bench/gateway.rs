//! The gateway of a running stack once more, with the same settings but in front of a handler that does nothing.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::nothing;
use crate::services::ORDERS;
use crate::state::State;
use crate::{nginx, paths, probe, signals};

const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// Runs until it is dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) url: String,
}

impl Gateway {
    /// `dir` is the folder of the stack.
    pub(crate) fn start(dir: &Path, state: &State) -> Result<Self> {
        let orders = state.processes.iter().find(|process| process.name == ORDERS);
        let orders = orders.with_context(|| format!("{ORDERS} does not run"))?.ports[0];
        let (original, folder) = (dir.join(nginx::NAME), paths::open_dir(&dir.join("gateway-to-nothing"))?);
        let address = free_address()?;
        let replacements = [
            (original.display().to_string(), folder.display().to_string()),
            (state.gateway.trim_start_matches("http://").to_owned(), address.to_string()),
            (format!("server 127.0.0.1:{orders} "), format!("server 127.0.0.1:{} ", nothing::serve()?)),
            ("gateway-access".to_owned(), "gateway-to-nothing-access".to_owned()),
        ];
        for file in ["nginx.conf", "gateway.conf", "tls.conf"] {
            let text = fs::read_to_string(original.join(file))?;
            let text = replacements.iter().fold(text, |text, (from, to)| text.replace(from, to));
            fs::write(folder.join(file), text)?;
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--", "env", signals::UNBLOCK]);
        command.arg(paths::program("nginx").context("nginx is not installed")?).args(["-e", "stderr", "-p"]);
        command.arg(&folder).arg("-c").arg(folder.join("nginx.conf")).current_dir(&folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(folder.join("log"))?);
        let child = command.spawn().context("cannot start nginx")?;
        let gateway = Self { child, url: format!("http://{address}") };
        gateway.wait_until_it_answers()?;
        Ok(gateway)
    }

    fn wait_until_it_answers(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let orders = format!("{}/api/orders", self.url);
        while !matches!(probe::get(&orders, None), Ok(200)) {
            ensure!(Instant::now() < deadline, "nginx does not reach a handler that does nothing");
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
