//! Sends what is due to webhooks, many of them at a time, each by one replica.
//!
//! An attempt is recorded when it has ended. A replica that dies before that leaves the message due: it is sent again, with
//! the same `webhook-id`. At the stop attempts that do not end soon are dropped, and left to another replica.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderName;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use service_kit::crash_point::crash_point;
use service_kit::pool::Database;
use service_kit::process::repeat;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::webhooks::client::{Answer, Client, Failure};
use crate::webhooks::lease::{self, Due, Leased};
use crate::webhooks::measured::Measured;
use crate::webhooks::schedule::{Verdict, judge};
use crate::webhooks::sealing::{Keys, Unreadable};

const PERIOD: Duration = Duration::from_millis(250);
const FORGET_PERIOD: Duration = Duration::from_mins(1);
/// To how many webhooks a replica sends at a time, and how many messages to each.
const WEBHOOKS: usize = 64;
const MESSAGES: usize = 4;
/// How long a replica goes on sending to a webhook, with its last messages on top.
const TURN: Duration = Duration::from_secs(10);
/// How long after the stop a receiver may take to answer.
const GRACE: Duration = Duration::from_secs(3);

const GONE: &str = "the receiver has answered 410 Gone";
const FAILED_FOR_DAYS: &str = "nothing could be delivered for three days";

/// What sends.
#[derive(Clone)]
pub struct Sending {
    database: Database,
    client: Client,
    keys: Keys,
    measured: Measured,
    stop: CancellationToken,
}

impl Sending {
    /// Sends with this client what is signed with secrets of these keys, until `stop`.
    pub fn new(database: Database, client: Client, keys: Keys, measured: Measured, stop: CancellationToken) -> Self {
        Self { database, client, keys, measured, stop }
    }

    /// Sends what is due until the stop, and a little longer what is on its way then.
    pub async fn run(self) -> anyhow::Result<()> {
        let places = Arc::new(Semaphore::new(WEBHOOKS));
        let turns = TaskTracker::new();
        repeat(PERIOD, self.stop.clone(), async || {
            let free = i64::try_from(places.available_permits()).unwrap_or_default();
            let leased = if free > 0 { lease::take(&self.database, free).await } else { Ok(Vec::new()) };
            for leased in leased.unwrap_or_else(|problem| nothing(&problem)) {
                let (sending, places) = (self.clone(), Arc::clone(&places));
                turns.spawn(async move {
                    let _place = places.acquire_owned().await;
                    sending.turn(&leased).await.unwrap_or_else(|problem| nothing(&problem));
                });
            }
        })
        .await?;
        turns.close();
        turns.wait().await;
        Ok(())
    }

    /// Sends what is due to one webhook, as long as it takes something, and others are not kept waiting.
    pub async fn turn(&self, leased: &Leased) -> Result<(), sqlx::Error> {
        let begun = Instant::now();
        let mut succeeded = None;
        loop {
            let due = lease::due(&self.database, leased.id).await?;
            let attempts: Vec<_> = due.into_iter().map(|delivery| self.attempt(leased, delivery)).collect();
            let ended: Vec<_> = stream::iter(attempts).buffer_unordered(MESSAGES).collect().await;
            let ended: Vec<Ended> = ended.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
            let delivered = ended.iter().filter(|ended| ended.verdict == Verdict::Delivered);
            let last = delivered.map(|ended| ended.at).max();
            succeeded = succeeded.max(last);
            if succeeded.is_none() {
                self.give_up(leased, &ended).await?;
            }
            if last.is_none() || self.stop.is_cancelled() || begun.elapsed() > TURN {
                return lease::release(&self.database, leased, succeeded).await;
            }
        }
    }

    /// Sends one message and records what comes of it. `None` if it was dropped because of the stop.
    async fn attempt(&self, leased: &Leased, delivery: Due) -> Result<Option<Ended>, sqlx::Error> {
        let begun = Instant::now();
        let over = async {
            self.stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let outcome = tokio::select! {
            outcome = self.post(leased, &delivery) => outcome,
            () = over => return Ok(None),
        };
        crash_point("webhook sent, not recorded");
        let chance = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
        let verdict = judge(usize::try_from(delivery.attempts).unwrap_or_default(), &outcome, chance);
        let took = begun.elapsed();
        self.measured.attempt(verdict, &outcome, took);
        let (status, error) = match &outcome {
            Ok(Answer { status, .. }) => (Some(i32::from(*status)), None),
            Err(failure) => (None, Some(failure.to_string())),
        };
        info!(webhook.id = %leased.id, delivery.id = %delivery.id, status, error, ?verdict, "a webhook was sent");
        lease::record(&self.database, &delivery, verdict, status, error, took).await?;
        Ok(Some(Ended { verdict, at: delivery.now, since: delivery.created_at }))
    }

    async fn post(&self, leased: &Leased, delivery: &Due) -> Result<Answer, Failure> {
        let headers = self.headers(leased, delivery).map_err(|problem| {
            error!(webhook.id = %leased.id, ?problem, "the secret of a webhook cannot be read");
            Failure::NoSecret
        })?;
        self.client.post(&leased.url, headers, delivery.payload.clone()).await
    }

    /// What a receiver checks: which message it is, when it was sent, and that it is ours.
    fn headers(&self, leased: &Leased, delivery: &Due) -> Result<[(HeaderName, String); 3], Unreadable> {
        let timestamp = Utc::now().timestamp();
        let secrets = [Some(&leased.secret), leased.previous_secret.as_ref()];
        let sign = |sealed: &Vec<u8>| {
            let secret = self.keys.open(leased.id, sealed)?;
            Ok(secret.sign(&delivery.message_id, timestamp, &delivery.payload))
        };
        let signatures = secrets.into_iter().flatten().map(sign).collect::<Result<Vec<_>, _>>()?.join(" ");
        Ok([
            (HeaderName::from_static("webhook-id"), delivery.message_id.clone()),
            (HeaderName::from_static("webhook-timestamp"), timestamp.to_string()),
            (HeaderName::from_static("webhook-signature"), signatures),
        ])
    }

    /// Disables a webhook that wants no more, or to which nothing could be delivered for as long as one message was tried.
    async fn give_up(&self, leased: &Leased, ended: &[Ended]) -> Result<(), sqlx::Error> {
        let gone =
            ended.iter().find(|ended| ended.verdict == Verdict::Gone).map(|ended| (Verdict::Gone, GONE, ended.at));
        let tried = ended.iter().filter(|ended| ended.verdict == Verdict::GivenUp).map(|ended| ended.since).min();
        let tried = tried.map(|since| (Verdict::GivenUp, FAILED_FOR_DAYS, since));
        let Some((verdict, reason, since)) = gone.or(tried) else { return Ok(()) };
        if lease::give_up(&self.database, leased.id, reason, since).await? {
            self.measured.disabled(verdict);
            warn!(webhook.id = %leased.id, reason, "a webhook was disabled");
        }
        Ok(())
    }
}

/// How an attempt has ended.
struct Ended {
    verdict: Verdict,
    at: DateTime<Utc>,
    /// When the message was made.
    since: DateTime<Utc>,
}

fn nothing<T: Default>(problem: &sqlx::Error) -> T {
    warn!(%problem, "webhooks are late");
    T::default()
}

/// Forgets old deliveries, until `stop`.
pub async fn forget_old(database: Database, stop: CancellationToken) -> anyhow::Result<()> {
    repeat(FORGET_PERIOD, stop, async || {
        loop {
            match lease::forget_old(&database).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(problem) => return nothing(&problem),
            }
        }
    })
    .await
}
