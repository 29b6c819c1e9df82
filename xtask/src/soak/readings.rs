//! One look at everything: tables as PostgreSQL counts them, processes as the kernel does, and what clients waited for.

use std::collections::BTreeMap;

use anyhow::Result;
use procfs::process::{self, Process};
use serde::Deserialize;

use super::clients::Clients;
use super::curves::{Chart, Reading};
use crate::bench::books::Books;
use crate::state::State;

/// Of tables that more is done with than to be made, each with all its months.
const TABLES: &str = "select coalesce(json_agg(found), '[]') from (
        select coalesce(inhparent, relid)::regclass::text as name, sum(pg_table_size(relid))::float as bytes,
            sum(pg_indexes_size(relid))::float as indexes, sum(n_dead_tup)::float as dead
        from pg_stat_user_tables
        left join pg_inherits on inhrelid = relid
        where schemaname in ('orders', 'payments', 'sandbox')
        group by 1
        having sum(n_tup_ins + n_tup_upd) > 100
    ) as found";
const ROWS: &str = "select json_build_object(
        'orders.orders', (select count(*) from orders.orders),
        'orders.outbox', (select count(*) from orders.outbox),
        'orders.idempotency_keys', (select count(*) from orders.idempotency_keys),
        'payments.payments', (select count(*) from payments.payments),
        'payments.outbox', (select count(*) from payments.outbox),
        'parked', (select count(*) from orders.parked) + (select count(*) from payments.parked))";
const MEBIBYTE_OF_KIBIBYTES: f64 = 1024.0;

#[derive(Deserialize)]
struct Table {
    name: String,
    bytes: f64,
    indexes: f64,
    dead: f64,
}

pub(crate) fn all(state: &State, books: &Books, clients: &Clients) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    let tables: Vec<Table> = books.row(TABLES)?;
    for Table { name, bytes, indexes, dead } in tables {
        readings.extend(Reading::of_table(name, bytes, indexes, dead));
    }
    let rows: BTreeMap<String, f64> = books.row(ROWS)?;
    readings.extend(rows.into_iter().map(|(curve, value)| Reading { chart: Chart::Rows, curve, value }));
    readings.extend(processes(state)?);
    readings.extend(clients.latencies());
    Ok(readings)
}

/// Of each part of the stack with all its child processes: PostgreSQL has one for each connection. Memory is what is
/// theirs alone, since they share a lot.
#[expect(clippy::cast_precision_loss, reason = "no process holds so much")]
fn processes(state: &State) -> Result<Vec<Reading>> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in process::all_processes()?.flatten() {
        // One that has ended meanwhile is nobody's.
        if let Ok(stat) = process.stat() {
            children.entry(stat.ppid).or_default().push(process);
        }
    }
    let mut readings = Vec::new();
    for part in &state.processes {
        let Some(pid) = part.pid.and_then(|pid| i32::try_from(pid).ok()) else { continue };
        let mut held = Held::default();
        held.add(&Process::new(pid)?, &children);
        let Held { kibibytes, files } = held;
        let reading = |chart, value| Reading { chart, curve: part.name.clone(), value };
        readings.push(reading(Chart::Memory, kibibytes as f64 / MEBIBYTE_OF_KIBIBYTES));
        readings.push(reading(Chart::Files, files as f64));
    }
    Ok(readings)
}

#[derive(Default)]
struct Held {
    kibibytes: u64,
    files: usize,
}

impl Held {
    fn add(&mut self, process: &Process, children: &BTreeMap<i32, Vec<Process>>) {
        self.kibibytes += process.status().ok().and_then(|status| status.rssanon).unwrap_or_default();
        self.files += process.fd_count().unwrap_or_default();
        for child in children.get(&process.pid()).into_iter().flatten() {
            self.add(child, children);
        }
    }
}
