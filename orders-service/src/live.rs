//! Tells open streams what has changed, whichever replica has changed it.
//!
//! One reader for all streams of the process, and none while there is no stream. A stream that begins is entered here
//! before it looks at what is there, so nothing can happen between the two; what it sees twice, it knows by its place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service_kit::pool::Database;
use service_kit::problem::Problem;
use shared_events::ids::{OrderId, UserId};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::changes::{self, Change, Page, Shown};
use crate::problems::too_many_streams;
use crate::snapshot::Snapshot;

const LOOK_AGAIN: Duration = Duration::from_millis(100);
const AFTER_TROUBLE: Duration = Duration::from_secs(1);
/// How long a stream that begins waits for the reader.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many streams begin at a time. When thousands come back at once, the connections that they read with are still there
/// for others.
const BEGINNING: usize = 4;
/// How much news may wait for a client that reads slowly. Then its stream ends, and it resumes where it was.
const WAITING: usize = 32;

/// Where streams are entered.
#[derive(Clone)]
pub struct Live(Arc<Shared>);

struct Shared {
    database: Database,
    followed: Mutex<Followed>,
    state: watch::Sender<State>,
    wanted: Notify,
    places: Arc<Semaphore>,
    turns: Semaphore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody follows anything.
    Idle,
    /// What changes from now on is read.
    Reading,
    /// The service stops.
    Over,
}

/// Who is told of which changes.
#[derive(Default)]
struct Followed {
    orders: HashMap<OrderId, broadcast::Sender<Arc<News>>>,
    owners: HashMap<UserId, broadcast::Sender<Arc<News>>>,
}

/// What has changed of what a stream follows.
#[derive(Debug)]
pub struct News {
    /// What was seen before.
    pub begin: Snapshot,
    /// What is seen with it.
    pub end: Snapshot,
    /// In the order of their transactions.
    pub changes: Vec<Told>,
}

/// A change, and the order as JSON.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as it says")]
pub struct Told {
    pub change: Change,
    pub order: Arc<str>,
}

/// One stream's end of it.
pub struct Follower {
    news: broadcast::Receiver<Arc<News>>,
    _place: OwnedSemaphorePermit,
}

impl Live {
    /// With places for so many streams.
    pub fn new(database: Database, max_streams: usize) -> Self {
        let places = Arc::new(Semaphore::new(max_streams.min(Semaphore::MAX_PERMITS)));
        let (state, _) = watch::channel(State::Idle);
        let (wanted, turns) = (Notify::new(), Semaphore::new(BEGINNING));
        Self(Arc::new(Shared { database, followed: Mutex::default(), state, wanted, places, turns }))
    }

    /// Waits until few enough other streams begin. It ends the wait of others when it is dropped.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.0.turns.acquire().await.ok()
    }

    /// Is told from now on what happens to this order.
    pub async fn follow_order(&self, id: OrderId) -> Result<Follower, Problem> {
        self.follow(|followed| followed.orders.entry(id).or_insert_with(new_sender).subscribe()).await
    }

    /// Is told from now on what happens to the orders of this user.
    pub async fn follow_owner(&self, owner: &UserId) -> Result<Follower, Problem> {
        self.follow(|followed| followed.owners.entry(owner.clone()).or_insert_with(new_sender).subscribe()).await
    }

    async fn follow(
        &self,
        enter: impl FnOnce(&mut Followed) -> broadcast::Receiver<Arc<News>>,
    ) -> Result<Follower, Problem> {
        let place = Arc::clone(&self.0.places).try_acquire_owned().map_err(|_| too_many_streams())?;
        let news = enter(&mut self.followed());
        self.0.wanted.notify_one();
        let mut state = self.0.state.subscribe();
        let decided = tokio::time::timeout(PATIENCE, state.wait_for(|state| *state != State::Idle)).await;
        match decided.map(|state| state.map(|state| *state)) {
            Ok(Ok(State::Reading)) => Ok(Follower { news, _place: place }),
            _ => Err(Problem::unavailable()),
        }
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.0.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what changes, while anybody follows it, until `stop`; then all streams end.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut seen = None;
        while !stop.is_cancelled() {
            let pause = if self.is_idle() {
                seen = None;
                None
            } else {
                match self.read_on(&mut seen).await {
                    Ok(true) => Some(LOOK_AGAIN),
                    Ok(false) => continue,
                    Err(problem) => {
                        warn!(%problem, "streams are late");
                        Some(AFTER_TROUBLE)
                    }
                }
            };
            let waiting = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => self.0.wanted.notified().await,
                }
            };
            tokio::select! {
                () = waiting => {}
                () = stop.cancelled() => {}
            }
        }
        self.0.state.send_replace(State::Over);
        self.end_all();
        Ok(())
    }

    /// Forgets what nobody follows any more. Who enters later finds the reader idle if it was found so here.
    fn is_idle(&self) -> bool {
        let mut followed = self.followed();
        followed.orders.retain(|_, sender| sender.receiver_count() > 0);
        followed.owners.retain(|_, sender| sender.receiver_count() > 0);
        let is_idle = followed.orders.is_empty() && followed.owners.is_empty();
        if is_idle {
            self.0.state.send_replace(State::Idle);
        }
        is_idle
    }

    /// Reads one page; whether it was the last.
    async fn read_on(&self, seen: &mut Option<Snapshot>) -> Result<bool, sqlx::Error> {
        let Some(begin) = seen else {
            *seen = Some(changes::now(&self.0.database).await?);
            self.0.state.send_replace(State::Reading);
            return Ok(true);
        };
        let Some(page) = changes::after(&self.0.database, begin, changes::ROWS).await?.filter(Page::is_whole) else {
            error!("what has changed cannot be told any more: all streams begin anew");
            *seen = None;
            self.end_all();
            return Ok(true);
        };
        self.tell(&page).await?;
        *seen = Some(page.end);
        Ok(page.is_last)
    }

    async fn tell(&self, page: &Page) -> Result<(), sqlx::Error> {
        let wanted: Vec<Change> = {
            let followed = self.followed();
            page.changes.iter().filter(|change| followed.has(change)).cloned().collect()
        };
        let (mut by_order, mut by_owner) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for told in changes::shown(&self.0.database, wanted).await?.into_iter().filter_map(Told::new) {
            by_order.entry(told.change.order_id).or_default().push(told.clone());
            by_owner.entry(told.change.owner.clone()).or_default().push(told);
        }
        let followed = self.followed();
        let news = |changes| Arc::new(News { begin: page.begin.clone(), end: page.end.clone(), changes });
        let of_orders = by_order.into_iter().map(|(id, changes)| (followed.orders.get(&id), changes));
        let of_owners = by_owner.into_iter().map(|(owner, changes)| (followed.owners.get(&owner), changes));
        for (sender, changes) in of_orders.chain(of_owners) {
            // That nobody listens any more is found out later.
            drop(sender.map(|sender| sender.send(news(changes))));
        }
        Ok(())
    }

    fn end_all(&self) {
        *self.followed() = Followed::default();
    }
}

fn new_sender() -> broadcast::Sender<Arc<News>> {
    broadcast::channel(WAITING).0
}

impl Followed {
    fn has(&self, change: &Change) -> bool {
        self.orders.contains_key(&change.order_id) || self.owners.contains_key(&change.owner)
    }
}

impl Told {
    /// `None` cannot happen: every order can be written as JSON.
    pub fn new(shown: Shown) -> Option<Self> {
        let order = serde_json::to_string(&shown.order).ok()?;
        Some(Self { change: shown.change, order: order.into() })
    }
}

impl Follower {
    /// Waits for news. `None` when there will be none, or when some were missed because too much has waited.
    pub async fn next(&mut self) -> Option<Arc<News>> {
        self.news.recv().await.ok()
    }
}
