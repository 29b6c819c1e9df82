//! (f) What an order costs: CPU time of each process, memory, bytes on disk; and how long a start takes.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, bail};

use super::bars::{MEMORY, READY};
use super::cpu;
use super::figures::{Section, Unit};
use super::meter::{Meter, Target};
use super::wrk::Script;
use crate::ports::Ports;
use crate::probe;
use crate::services::{ORDERS, PAYMENTS};
use crate::state::Process;

const CONNECTIONS: u32 = 64;
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);

pub(crate) fn measure(meter: &mut Meter, target: &Target) -> Result<()> {
    for (name, script) in [("placed order", Script::Create), ("saga", Script::Saga)] {
        of_load(meter, target, name, script)?;
    }
    for ((service, memory), ready) in [ORDERS, PAYMENTS].into_iter().zip(MEMORY).zip(READY) {
        let process = target.state.processes.iter().find(|process| process.name == service);
        let process = process.with_context(|| format!("{service} does not run"))?;
        meter.record(Section::Cost, memory, Unit::Mebibytes, cpu::peak_memory(process)?);
        let time = start_to_ready(process, &mut Ports::load(&meter.wrk.dir))?;
        meter.record(Section::Cost, ready, Unit::Seconds, time.as_secs_f64());
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "no run places so many")]
fn of_load(meter: &mut Meter, target: &Target, name: &str, script: Script) -> Result<()> {
    let before = target.books.disk()?;
    let loaded = meter.load(target, &format!("cost of a {name}"), script, CONNECTIONS)?;
    let after = target.books.disk()?;
    let orders = loaded.left.orders.max(1) as f64;
    let all_together = loaded.cpu_per_order();
    for (process, microseconds) in loaded.cpu_per_order_by_process() {
        meter.record(Section::Cost, format!("CPU per {name}, {process}"), Unit::Microseconds, microseconds);
    }
    meter.record(Section::Cost, format!("CPU per {name}, all together"), Unit::Microseconds, all_together);
    let tables = (after.tables - before.tables) / orders;
    meter.record(Section::Cost, format!("tables and indexes per {name}"), Unit::Bytes, tables);
    meter.record(Section::Cost, format!("write-ahead log per {name}"), Unit::Bytes, (after.log - before.log) / orders);
    Ok(())
}

/// A second process of a service, on the tables and the broker of the first.
fn start_to_ready(process: &Process, ports: &mut Ports) -> Result<Duration> {
    let pid = process.pid.with_context(|| format!("{} does not run", process.name))?;
    let environment = fs::read_to_string(format!("/proc/{pid}/environ"))?;
    let (public, admin) = (ports.get("spare")?, ports.get("spare-admin")?);
    let mut command = Command::new(format!("/proc/{pid}/exe"));
    command.env_clear().envs(environment.split('\0').filter_map(|variable| variable.split_once('=')));
    command.env("LISTEN_ADDR", format!("127.0.0.1:{public}")).env("ADMIN_ADDR", format!("127.0.0.1:{admin}"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let spare = Spare(command.spawn().with_context(|| format!("cannot start {}", process.name))?);
    let ready = format!("http://127.0.0.1:{admin}/health/ready");
    while !matches!(probe::get(&ready, None), Ok(200)) {
        if began.elapsed() > PATIENCE {
            bail!("{} is not ready after {} s", process.name, PATIENCE.as_secs());
        }
        thread::sleep(POLL);
    }
    let time = began.elapsed();
    drop(spare);
    Ok(time)
}

/// Ended with us; nothing was asked of it.
struct Spare(Child);

impl Drop for Spare {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait().map(drop));
    }
}
