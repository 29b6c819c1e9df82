//! Connections: how a pool opens them, and which of them it uses again.
//!
//! sqlx's own pool looks at a connection after each statement as well, which costs the server and us another round trip.

use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use futures_util::FutureExt;
use sqlx::{Connection, PgConnection};

use crate::database::backoff;
use crate::servers::{Servers, ensure_writable, is_starting};

/// How long after its last statement a connection is taken to be there: less than a server takes to come back, so that no
/// statement which could be carried out meets a connection that died with the server before.
const TRUST: Duration = Duration::from_millis(50);
/// After which a connection is replaced by a new one: what a session of PostgreSQL has in memory only grows.
const LIFETIME: Duration = Duration::from_mins(30);

/// Connections to one of the servers.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) servers: Servers,
    pub(super) server: usize,
}

impl Manager for Connections {
    type Type = PgConnection;
    type Error = sqlx::Error;

    /// Tries again while the server starts, or has more connections than it may: whoever waits puts an end to it.
    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        let mut pauses = backoff();
        loop {
            // On the heap, since everybody who waits for a statement keeps room for it.
            match self.connect().boxed().await {
                Err(trouble) if is_starting(&trouble) => tokio::time::sleep(pauses.next().unwrap_or_default()).await,
                connected => return connected,
            }
        }
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() >= LIFETIME {
            return Err(RecycleError::message("it is old"));
        }
        if metrics.last_used() >= TRUST {
            connection.ping().await?;
        }
        Ok(())
    }
}

impl Connections {
    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.servers.connect_to(self.server).await?;
        if self.servers.are_several() {
            // It may have become a standby since it was visited.
            ensure_writable(&mut connection).await?;
        }
        Ok(connection)
    }
}
