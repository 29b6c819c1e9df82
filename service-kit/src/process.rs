//! The life of a process: start, run until told to stop, stop in order, and say by the exit code how it went.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::settings::Settings;
use crate::{spans, telemetry};

/// The longest that an orderly stop may take, so that nine seconds are not exceeded; `docker stop` kills after ten.
const STOP_DEADLINE: Duration = Duration::from_millis(8_500);

/// What the binary can do besides serving.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Ask the running service whether it is ready; exit 0 if so. For container health checks.
    Healthcheck,
    /// Bring the tables up to date, and exit; if they are partitioned, also make the months that come next. The logins must
    /// be those of the owners of the schemas, and not the ones that the service itself works with.
    Migrate,
}

/// Runs a service until it ends by itself or a SIGTERM or SIGINT tells it to.
///
/// A second signal, or a stop that takes too long, ends the process at once.
pub fn main<Service>(
    name: &'static str,
    settings: &Settings,
    command: Option<Command>,
    service: impl FnOnce(CancellationToken) -> Service,
) -> ExitCode
where
    Service: Future<Output = anyhow::Result<()>>,
{
    match command {
        Some(Command::Healthcheck) => healthcheck(settings.admin_addr),
        Some(Command::Migrate) | None => serve(name, settings, service),
    }
}

fn serve<Service>(
    name: &'static str,
    settings: &Settings,
    service: impl FnOnce(CancellationToken) -> Service,
) -> ExitCode
where
    Service: Future<Output = anyhow::Result<()>>,
{
    #[cfg(feature = "crash-points")]
    crate::crash_point::watch(settings.crash_points.clone());
    if let Err(problem) = telemetry::start(settings, name) {
        eprintln!("{problem:#}");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(problem) => {
            error!(%problem, "the runtime cannot start");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        service(stop).await
    });
    runtime.shutdown_background();
    spans::stop();
    match outcome {
        Ok(()) => {
            info!("stopped");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            error!("stopped by a failure: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// The long-running parts of a service. When one of them ends, the service ends: limping on helps nobody.
pub struct Parts {
    running: JoinSet<anyhow::Result<&'static str>>,
    stop: CancellationToken,
}

impl Parts {
    /// No parts yet; `stop` tells all of them to finish.
    pub fn new(stop: CancellationToken) -> Self {
        Self { running: JoinSet::new(), stop }
    }

    /// Runs a part in a task of its own. It must end soon after the token that it is given is cancelled.
    pub fn start<Part>(&mut self, name: &'static str, part: impl FnOnce(CancellationToken) -> Part)
    where
        Part: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let part = part(self.stop.clone());
        self.running.spawn(async move {
            match part.await {
                Ok(()) => Ok(name),
                Err(problem) => Err(problem.context(format!("{name} failed"))),
            }
        });
    }

    /// Waits until every part has ended. The first that ends tells the others to stop.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = self.running.join_next().await {
            let ended = ended.unwrap_or_else(|panic| Err(anyhow::Error::new(panic)));
            if let (Ok(name), false) = (&ended, self.stop.is_cancelled()) {
                outcome = Err(anyhow::anyhow!("{name} ended although nobody asked it to"));
            }
            self.stop.cancel();
            if let (Err(problem), true) = (ended, outcome.is_ok()) {
                outcome = Err(problem);
            }
        }
        outcome
    }
}

/// Does `work` at once and then again and again, `period` apart, until `stop`. It is never cut off in the middle.
pub async fn repeat<Work>(
    period: Duration,
    stop: CancellationToken,
    mut work: impl FnMut() -> Work,
) -> anyhow::Result<()>
where
    Work: Future<Output = ()>,
{
    while !stop.is_cancelled() {
        work().await;
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        error!("signals cannot be listened to");
        return stop.cancel();
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("asked to stop");
    stop.cancel();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = tokio::time::sleep(STOP_DEADLINE) => {}
    }
    error!("did not stop in time");
    std::process::exit(1);
}

fn healthcheck(admin_addr: SocketAddr) -> ExitCode {
    match ask_readiness(admin_addr) {
        Ok(status) if status.starts_with("HTTP/1.1 200") => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("not ready: {status}");
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("no answer from {admin_addr}: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn ask_readiness(mut address: SocketAddr) -> std::io::Result<String> {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
