//! Parked messages that are sent to their queues once more, or given up.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

use super::{ParkedId, Row, Which, list_after, list_all};
use crate::admin::{Admin, Service};
use crate::deeds::{Deeds, Form};

/// How long a replayed message may take until it is applied or parked again.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What has become of a message that was replayed.
enum Outcome {
    Applied,
    ParkedAgain(ParkedId, String),
    Waiting,
}

/// Goes on after a failure, so that one message does not keep the others.
pub(super) fn for_each(
    admin: &Admin,
    which: &Which,
    form: &Form,
    work: fn(&Admin, ParkedId, &mut Deeds<'_>) -> Result<()>,
) -> Result<ExitCode> {
    let mut ids = which.ids.clone();
    if which.all {
        for (service, parked) in list_all(admin, &Service::ALL)? {
            ids.push(ParkedId { service, row: Row::deserialize(parked)?.id });
        }
    }
    let mut deeds = Deeds::told_as(form);
    if ids.is_empty() {
        deeds.none("nothing is parked");
    }
    for id in ids {
        if let Err(problem) = work(admin, id, &mut deeds) {
            deeds.failed("id", id, &problem);
        }
    }
    deeds.end()
}

pub(super) fn discard(admin: &Admin, id: ParkedId, deeds: &mut Deeds<'_>) -> Result<()> {
    admin.ask(id.service, "DELETE", &id.path())?.with_context(|| id.unknown())?;
    deeds.done(format_args!("{id} is discarded"), json!({"id": id.to_string(), "outcome": "discarded"}));
    Ok(())
}

pub(super) fn replay(admin: &Admin, id: ParkedId, deeds: &mut Deeds<'_>) -> Result<()> {
    admin.ask(id.service, "POST", &format!("{}/replay", id.path()))?.with_context(|| id.unknown())?;
    let name = id.to_string();
    match outcome(admin, id)? {
        Outcome::Applied => deeds.done(format_args!("{id} is applied"), json!({"id": name, "outcome": "applied"})),
        Outcome::ParkedAgain(again, reason) => deeds.undone(
            format_args!("{id} still cannot be applied and is parked again as {again}: {reason}"),
            json!({"id": name, "outcome": "parked_again", "parkedAs": again.to_string(), "reason": reason}),
        ),
        Outcome::Waiting => deeds.undone(
            format_args!("{id} is sent and waits in its queue; it stays parked until it is applied"),
            json!({"id": name, "outcome": "waiting"}),
        ),
    }
    Ok(())
}

/// The row is there until the message is applied, or another takes its place.
fn outcome(admin: &Admin, id: ParkedId) -> Result<Outcome> {
    let began = Instant::now();
    while admin.ask(id.service, "GET", &id.path())?.is_some() {
        if began.elapsed() > PATIENCE {
            return Ok(Outcome::Waiting);
        }
        thread::sleep(LOOK_AGAIN);
    }
    for (service, parked) in list_after(admin, id.service, id.row)? {
        let parked = Row::deserialize(parked)?;
        if parked.replay_of == Some(id.row) {
            return Ok(Outcome::ParkedAgain(ParkedId { service, row: parked.id }, parked.reason));
        }
    }
    Ok(Outcome::Applied)
}
