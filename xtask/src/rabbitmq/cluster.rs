//! What makes one broker of several nodes: a cookie that they share, whom each looks for at its first start, and what sees
//! to it that every queue is on all of them.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::{Node, name_of};
use crate::probe::Probe;
use crate::process::{Environment, Part, Stage};
use crate::stack::Layout;

/// Lines of the configuration of each node. One that starts for the first time joins those that are there.
pub(super) fn configuration(nodes: &[Node]) -> Vec<String> {
    let mut lines = vec![
        "cluster_formation.peer_discovery_backend = classic_config".to_owned(),
        // Who is cut off from the majority stands still, and comes back by itself.
        "cluster_partition_handling = pause_minority".to_owned(),
        // Until a node that says nothing counts as dead, nobody can declare anything.
        "net_ticktime = 20".to_owned(),
        // Not all where a service happens to be connected.
        "queue_leader_locator = balanced".to_owned(),
    ];
    let names = nodes.iter().enumerate();
    lines
        .extend(names.map(|(index, node)| format!("cluster_formation.classic_config.nodes.{index} = {}", node.erlang)));
    lines
}

/// Nodes that start at the same time would each make one of their own.
pub(super) fn make_cookie(home: &Path) -> Result<()> {
    let path = home.join(".erlang.cookie");
    if path.is_file() {
        return Ok(());
    }
    let mut secret = [0; 20];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let cookie: String = secret.iter().map(|byte| char::from(b'A' + byte % 26)).collect();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    Ok(file.write_all(cookie.as_bytes())?)
}

/// A node that knows of others waits for them, should there be fewer now.
pub(super) fn ensure_none_is_left_out(layout: &Layout, nodes: usize) -> Result<()> {
    let further = layout.dir.join(name_of(nodes + 1));
    ensure!(!further.is_dir(), "RabbitMQ had more than {nodes} nodes here: give as many as before, or --fresh");
    Ok(())
}

/// A queue that was declared before all nodes were there is on those that were; once they are, it grows, and then each node
/// leads its share. The stack is not ready before that: a node that dies while queues are handed over to it takes each of
/// them along for half a minute.
pub(super) fn growth(layout: &Layout, nodes: &[Node], variables: &[(String, String)]) -> Result<Part> {
    let name = "growth-of-queues";
    let program = super::server().context("RabbitMQ is not installed")?.with_file_name("rabbitmq-queues");
    let grow = nodes.iter().map(|node| format!("grow {} all", node.erlang));
    let steps = grow.chain(["rebalance quorum".to_owned()]);
    let lines = steps.map(|step| format!("'{}' --quiet {step}\n", program.display()));
    let script = layout.folder(name)?.join("grow");
    super::write_program(&script, &format!("#!/bin/sh\nset -e\n{}", lines.collect::<String>()))?;
    Ok(Part {
        name: name.to_owned(),
        stage: Stage::Broker,
        listed: false,
        folder: layout.folder(name)?,
        program: script,
        args: Vec::new(),
        environment: Environment::Own,
        variables: variables.to_vec(),
        user: None,
        ports: Vec::new(),
        log: layout.log(name),
        needs: nodes.iter().map(|node| node.name.clone()).collect(),
        ready: Probe::Ended,
        stop: Signal::SIGTERM,
        patience: Duration::from_secs(2),
        orphaned: Signal::SIGKILL,
    })
}
