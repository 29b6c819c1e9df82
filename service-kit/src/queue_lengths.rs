//! How many messages wait in the queues that a service consumes, asked from time to time while there is a broker.

use std::sync::Arc;
use std::time::Duration;

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::broker::{Session, within};
use crate::metrics::Metrics;

/// More often than metrics are scraped.
const PERIOD: Duration = Duration::from_secs(5);
const BROKER_DEADLINE: Duration = Duration::from_secs(5);

/// Keeps the lengths of `queues` in `metrics` until the end of the session. They are not known after that, or while the
/// broker does not say: what uses the queues finds out why, not this.
pub(crate) async fn watch(
    session: Arc<Session>,
    metrics: Metrics,
    queues: Vec<String>,
    end_of_session: CancellationToken,
) -> anyhow::Result<()> {
    let asking = async {
        loop {
            if let Err(problem) = ask(&session, &metrics, &queues).await {
                debug!("the lengths of the queues are not known: {problem:#}");
                forget(&metrics, &queues);
            }
            tokio::time::sleep(PERIOD).await;
        }
    };
    end_of_session.run_until_cancelled(asking).await;
    forget(&metrics, &queues);
    Ok(())
}

/// On a channel of its own: asking for a queue that is gone closes it.
async fn ask(session: &Session, metrics: &Metrics, queues: &[String]) -> anyhow::Result<()> {
    let channel: Channel = within(BROKER_DEADLINE, "opening a channel", session.connection.create_channel()).await?;
    for queue in queues {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asking = channel.queue_declare(queue.as_str().into(), passive, FieldTable::default());
        let queue_now = within(BROKER_DEADLINE, "asking for the length of a queue", asking).await?;
        metrics.messaging().set_ready(queue, queue_now.message_count());
    }
    within(BROKER_DEADLINE, "closing a channel", channel.close(200, "done".into())).await
}

fn forget(metrics: &Metrics, queues: &[String]) {
    for queue in queues {
        metrics.messaging().forget_ready(queue);
    }
}
