//! A connection that really ends.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use lapin::Connection;
use tokio::runtime::Handle;

use super::{REPLY_SUCCESS, within};

/// How long the broker may take to hear that a connection is not needed any more; it notices soon anyway.
const FAREWELL: Duration = Duration::from_secs(2);

/// lapin takes it for an error if channels, which are closed as they are dropped, and their connection are closed at once.
const CHANNELS_FIRST: Duration = Duration::from_secs(1);

/// A connection that is closed when it is dropped.
///
/// lapin's own is closed once each of its channels is, and none is that was given up while it asked for a subscription: if
/// the broker answers after all, that one lives on with its connection, and takes messages that nobody sees.
pub struct Line(Arc<Connection>);

impl Line {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Arc::new(connection))
    }

    /// Closes it, as well as the broker hears of it.
    pub(crate) async fn end(&self) {
        end(&self.0).await;
    }
}

async fn end(connection: &Connection) {
    drop(within(FAREWELL, "closing", connection.close(REPLY_SUCCESS, "done".into())).await);
}

impl Deref for Line {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let connection = Arc::clone(&self.0);
        if connection.status().connected()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move {
                tokio::time::sleep(CHANNELS_FIRST).await;
                end(&connection).await;
            });
        }
    }
}
