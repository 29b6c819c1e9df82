//! The broker's own tool, for faults that only the broker can have and for looking into its queues.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::rabbitmq;
use crate::services::{BROKER, ORDERS, PAYMENTS};

/// What hangs for longer speaks to a broker that is frozen or starting.
const PATIENCE: Duration = Duration::from_secs(20);
/// The share of the memory that the broker may have: its default, and less than any broker has.
const ENOUGH: &str = "0.4";
const TOO_LITTLE: &str = "0.00001";

/// The queues that the services declare and use, without those of what was given up.
pub(crate) fn queues() -> Vec<String> {
    let events = ["payment-create-event", "payment-cancel-event", "payment-processed-event"];
    events.into_iter().flat_map(|event| [event.to_owned(), format!("{event}.receipts")]).collect()
}

/// The service that takes the messages out of a queue: receipts go the other way than events.
pub(crate) fn consumer_of(queue: &str) -> &'static str {
    let is_to_orders = queue.starts_with("payment-processed") != queue.contains("receipts");
    if is_to_orders { ORDERS } else { PAYMENTS }
}

/// What was given up never leaves its queue by itself.
pub(crate) fn is_dead(queue: &str) -> bool {
    queue.rsplit_once('.').is_some_and(|(_, last)| last == "dead")
}

pub(crate) fn delete_queue(dir: &Path, queue: &str) -> Result<()> {
    control(dir, BROKER, &["-q", "delete_queue", queue]).map(drop)
}

pub(crate) fn raise_memory_alarm(dir: &Path, node: &str) -> Result<()> {
    control(dir, node, &["-q", "set_vm_memory_high_watermark", TOO_LITTLE]).map(drop)
}

pub(crate) fn clear_memory_alarm(dir: &Path, node: &str) -> Result<()> {
    control(dir, node, &["-q", "set_vm_memory_high_watermark", ENOUGH]).map(drop)
}

/// The connections of a node to these others are closed, and none can be opened: they do not know each other's cookies any
/// more. Clients reach it as before.
pub(crate) fn cut_off(dir: &Path, node: &str, others: &[String]) -> Result<()> {
    for_each(dir, node, others, "erlang:set_cookie(Other, cut_off), erlang:disconnect_node(Other)")
}

pub(crate) fn mend(dir: &Path, node: &str, others: &[String]) -> Result<()> {
    for_each(dir, node, others, "erlang:set_cookie(Other, erlang:get_cookie())")
}

/// Has a node do something about each of some others.
fn for_each(dir: &Path, node: &str, others: &[String], doing: &str) -> Result<()> {
    let others: Vec<_> = others.iter().map(|other| format!("'{}'", rabbitmq::erlang_name(other))).collect();
    evaluate(dir, node, &format!("[begin {doing} end || Other <- [{}]]", others.join(","))).map(drop)
}

/// How many messages each queue has, whoever holds them.
pub(crate) fn messages(dir: &Path) -> Result<Vec<(String, u64)>> {
    numbers(&list(dir, "messages")?)
}

/// On how many nodes each queue has a member that runs.
pub(crate) fn members(dir: &Path) -> Result<Vec<(String, u64)>> {
    let name = "element(4, amqqueue:get_name(Queue))";
    let members = "length(proplists:get_value(online, rabbit_amqqueue:info(Queue, [online])))";
    let told = format!(r#"io:format("~s\t~b~n", [{name}, {members}])"#);
    numbers(&evaluate(dir, BROKER, &format!("[{told} || Queue <- rabbit_amqqueue:list()]"))?)
}

/// The queues that nobody leads: they take nothing and give nothing, and seem to be empty.
pub(crate) fn leaderless(dir: &Path) -> Result<Vec<String>> {
    let listed = list(dir, "leader")?;
    let queues = rows(&listed).collect::<Result<Vec<_>>>()?.into_iter();
    Ok(queues.filter(|(_, leader)| !leader.contains('@')).map(|(name, _)| name.to_owned()).collect())
}

/// What each queue has in this column.
fn list(dir: &Path, column: &str) -> Result<String> {
    control(dir, BROKER, &["-q", "--no-table-headers", "list_queues", "name", column])
}

fn numbers(listed: &str) -> Result<Vec<(String, u64)>> {
    let number = |row: Result<(&str, &str)>| {
        let (name, number) = row?;
        Ok((name.to_owned(), number.parse().with_context(|| format!("{name} has {number}"))?))
    };
    rows(listed).map(number).collect()
}

/// Queues and what each has.
fn rows(listed: &str) -> impl Iterator<Item = Result<(&str, &str)>> {
    let row = |line| str::split_once(line, '\t').with_context(|| format!("not a queue: {line}"));
    listed.lines().map(move |line| row(line).map(|(name, value)| (name, value.trim())))
}

fn control(dir: &Path, node: &str, arguments: &[&str]) -> Result<String> {
    answer(Command::new(dir.join(node).join("ctl")).args(arguments))
}

/// What it prints.
fn evaluate(dir: &Path, node: &str, erlang: &str) -> Result<String> {
    let answer = answer(Command::new(dir.join(node).join("eval")).arg(format!("begin {erlang}, done end.")))?;
    answer.strip_suffix("{ok, done}").map(str::to_owned).with_context(|| format!("RabbitMQ says {answer}"))
}

fn answer(command: &mut Command) -> Result<String> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("the tools of RabbitMQ cannot be run")?;
    let deadline = Instant::now() + PATIENCE;
    // What it prints fits into the pipe.
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("the broker does not answer");
        }
        thread::sleep(Duration::from_millis(20));
    }
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    if !status.success() {
        let complaint = String::from_utf8_lossy(&stderr);
        let complaint = complaint.lines().find(|line| !matches!(*line, "" | "Error:"));
        bail!("{}", complaint.unwrap_or("a tool of RabbitMQ has failed"));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
