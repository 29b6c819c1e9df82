//! Visits: how the pool of a login finds out that its server is about to stop, or that another one takes the writes, and gets
//! rid of connections that nothing uses.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::timeout;

use super::{ACQUIRE_TIMEOUT, Current, Login};

/// How long a server that is asked to stop waits for us at most.
const VISIT_PERIOD: Duration = Duration::from_secs(5);
/// After which a connection that nothing uses is closed.
const IDLE_TIMEOUT: Duration = Duration::from_mins(10);
/// Between two visits, however much trouble there is.
const VISIT_PAUSE: Duration = Duration::from_millis(100);
/// How a server turns everybody away that is about to stop, or not ready yet
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
const CANNOT_CONNECT_NOW: &str = "57P03";

/// Keeps to the server that takes writes, and lets go of one that is about to stop, as long as the login is used.
pub(super) async fn visit(login: Weak<Login>) {
    while let Some(used) = login.upgrade() {
        let again = used.look_round().await;
        let trouble = Arc::clone(&used.trouble);
        drop(used);
        tokio::time::sleep(VISIT_PAUSE).await;
        drop(timeout(again, trouble.notified()).await);
    }
}

impl Login {
    /// Goes to see the server, and looks for the one that takes writes if that is another by now; when to come again.
    async fn look_round(&self) -> Duration {
        let Current { pool, server, generation, .. } = self.current();
        // Dropped, and so closed.
        drop(pool.retain(|_, connection| connection.last_used() < IDLE_TIMEOUT));
        if pool.status().size == 0 && !self.servers.are_several() {
            return VISIT_PERIOD;
        }
        let Err(trouble) = in_short(self.servers.visit(server)).await else { return VISIT_PERIOD };
        if self.servers.are_several()
            && let Ok(writable) = in_short(self.servers.find_writable()).await
        {
            if writable != server {
                self.replace(generation, writable, "another server takes the writes");
            }
            return VISIT_PERIOD;
        }
        if turns_away(&trouble) {
            self.give_up(generation, "lets nobody in");
        }
        if self.servers.are_several() { Duration::ZERO } else { VISIT_PERIOD }
    }
}

/// Whether a newcomer is turned away. One who has no answer does not know.
fn turns_away(refusal: &sqlx::Error) -> bool {
    refusal.as_database_error().is_some_and(|refusal| refusal.code().as_deref() == Some(CANNOT_CONNECT_NOW))
}

async fn in_short<T>(visiting: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(ACQUIRE_TIMEOUT, visiting).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
