//! Seals secrets anew that are sealed with another key than the first, or not at all: after a key was changed, and of webhooks
//! that are older than the keys.

use std::time::Duration;

use service_kit::pool::Database;
use service_kit::process::repeat;
use sqlx::Error;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::webhooks::sealing::Keys;

/// Often enough for what a replica with other keys, or an older one, has stored meanwhile.
const PERIOD: Duration = Duration::from_mins(10);
const ROWS: i64 = 100;

/// Looks at all secrets at once, and then again and again, until `stop`.
pub async fn run(database: Database, keys: Keys, stop: CancellationToken) -> anyhow::Result<()> {
    repeat(PERIOD, stop, async || match reseal(&database, &keys).await {
        Ok(0) => {}
        Ok(sealed) => info!(sealed, "secrets of webhooks were sealed anew"),
        Err(problem) => warn!(%problem, "secrets of webhooks cannot be sealed anew"),
    })
    .await
}

/// What is stored of a webhook's secrets.
struct Stored {
    id: Uuid,
    secret: Vec<u8>,
    previous_secret: Option<Vec<u8>>,
}

impl Stored {
    fn is_current(&self, keys: &Keys) -> bool {
        keys.is_current(&self.secret) && self.previous_secret.as_ref().is_none_or(|secret| keys.is_current(secret))
    }
}

/// Seals all that has to be; of how many webhooks.
pub async fn reseal(database: &Database, keys: &Keys) -> Result<usize, Error> {
    let (mut after, mut sealed) = (Uuid::nil(), 0);
    loop {
        let page = page(database, after).await?;
        let Some(last) = page.last() else { return Ok(sealed) };
        after = last.id;
        for stored in page.iter().filter(|stored| !stored.is_current(keys)) {
            let anew = |secret: &Vec<u8>| keys.reseal(stored.id, secret);
            let previous = stored.previous_secret.as_ref().map(anew).transpose();
            match anew(&stored.secret).and_then(|secret| Ok((secret, previous?))) {
                Ok((secret, previous)) => {
                    replace(database, stored, &secret, previous.as_deref()).await?;
                    sealed += 1;
                }
                Err(problem) => error!(webhook.id = %stored.id, ?problem, "the secret of a webhook cannot be read"),
            }
        }
    }
}

async fn page(database: &Database, after: Uuid) -> Result<Vec<Stored>, Error> {
    sqlx::query_as!(
        Stored,
        "select id, secret, previous_secret from orders.webhooks where id > $1 order by id limit $2",
        after,
        ROWS,
    )
    .fetch_all(database)
    .await
}

/// Unless the secret was changed meanwhile.
async fn replace(database: &Database, stored: &Stored, secret: &[u8], previous: Option<&[u8]>) -> Result<(), Error> {
    sqlx::query!(
        "update orders.webhooks set secret = $3, previous_secret = $4 where id = $1 and secret = $2",
        stored.id,
        stored.secret,
        secret,
        previous,
    )
    .execute(database)
    .await
    .map(drop)
}
