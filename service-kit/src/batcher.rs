//! Micro-batching: what waits while one batch is being written is written together next.
//!
//! A lone job waits for nobody; under load, the cost of a round trip and a commit is shared. A batch that takes long, say
//! because somebody holds one of its rows, keeps those behind it only for a moment: then they go on beside it. The
//! workers end when every handle of the batcher is dropped and every job is done. They hold the outbox, and the relay
//! stays as long as anybody does: so a service that stops drains its batchers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

use crate::problem::Problem;
use crate::spans::{Span, SpanKind};

/// How many batches are written side by side at most.
const LANES: usize = 4;
/// How long a batch waits for the end of the one before it, so that it grows meanwhile: far longer than a commit takes.
const PATIENCE: Duration = Duration::from_millis(25);
/// How many batches may wait. More would be answered too late to be of use.
const WAITING_BATCHES: usize = 4;

/// Hands jobs to batch workers and their answers back.
pub struct Batcher<Job, Answer> {
    jobs: mpsc::Sender<(Job, oneshot::Sender<Answer>)>,
}

impl<Job, Answer> Batcher<Job, Answer>
where
    Job: Send + 'static,
    Answer: Send + 'static,
{
    /// Gives at most `limit` jobs at a time to `work`, which answers them in order.
    pub fn start<Work, Batch>(limit: usize, work: Work) -> Self
    where
        Work: Fn(Vec<Job>) -> Batch + Send + Sync + 'static,
        Batch: Future<Output = Vec<Answer>> + Send + 'static,
    {
        Self::start_with(PATIENCE, limit, work)
    }

    fn start_with<Work, Batch>(patience: Duration, limit: usize, work: Work) -> Self
    where
        Work: Fn(Vec<Job>) -> Batch + Send + Sync + 'static,
        Batch: Future<Output = Vec<Answer>> + Send + 'static,
    {
        let (jobs, waiting) = mpsc::channel(limit * WAITING_BATCHES);
        let (_, ended) = oneshot::channel();
        let queue = Arc::new(Mutex::new(Queue { waiting, last_begun: ended }));
        let work = Arc::new(work);
        for _ in 0..LANES {
            tokio::spawn(run_lane(Arc::clone(&queue), patience, limit, Arc::clone(&work)));
        }
        Self { jobs }
    }

    /// Has the job done; `None` when too many wait already, or the workers are gone. Dropping the wait harms nobody:
    /// the job is done all the same.
    pub async fn submit(&self, job: Job) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        self.jobs.try_send((job, answer)).ok()?;
        answered.await.ok()
    }
}

impl<Job, Answer> Batcher<Job, Result<Answer, Problem>>
where
    Job: Send + 'static,
    Answer: Send + 'static,
{
    /// Has the job done for a client, who is refused when too many wait already.
    pub async fn submit_or_refuse(&self, job: Job) -> Result<Answer, Problem> {
        // The wait for the batch before, and the statement of its own.
        let _span =
            Span::within(SpanKind::Client, || "batch in PostgreSQL".into()).with("db.system.name", "postgresql");
        self.submit(job).await.unwrap_or_else(|| Err(Problem::overloaded()))
    }
}

impl<Job, Answer> Clone for Batcher<Job, Answer> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone() }
    }
}

/// What the lanes take turns at.
struct Queue<Job, Answer> {
    waiting: mpsc::Receiver<(Job, oneshot::Sender<Answer>)>,
    /// Closes with the batch that was begun last.
    last_begun: oneshot::Receiver<()>,
}

async fn run_lane<Job, Answer, Work, Batch>(
    queue: Arc<Mutex<Queue<Job, Answer>>>,
    patience: Duration,
    limit: usize,
    work: Arc<Work>,
) where
    Work: Fn(Vec<Job>) -> Batch,
    Batch: Future<Output = Vec<Answer>>,
{
    loop {
        let mut collected = Vec::new();
        let (under_way, end) = oneshot::channel();
        {
            let mut queue = queue.lock().await;
            let Some(first) = queue.waiting.recv().await else { return };
            collected.push(first);
            drop(timeout(patience, &mut queue.last_begun).await);
            // Whoever is about to submit a job does so first. This waits for nobody: where no other task can go on, it
            // returns at once.
            tokio::task::yield_now().await;
            while collected.len() < limit
                && let Ok(next) = queue.waiting.try_recv()
            {
                collected.push(next);
            }
            queue.last_begun = end;
        }
        let (jobs, callers): (Vec<Job>, Vec<oneshot::Sender<Answer>>) = collected.into_iter().unzip();
        let answers = work(jobs).await;
        drop::<oneshot::Sender<()>>(under_way);
        for (caller, answer) in callers.into_iter().zip(answers) {
            // A caller that went away does not want its answer.
            drop(caller.send(answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    /// A batcher that doubles numbers, one batch for each permit of the gate.
    struct Gated {
        batcher: Batcher<u32, u32>,
        gate: Arc<Semaphore>,
        /// The sizes of the batches that have begun.
        begun: mpsc::UnboundedReceiver<usize>,
    }

    fn gated() -> Gated {
        gated_with(Duration::from_hours(1))
    }

    fn gated_with(patience: Duration) -> Gated {
        let gate = Arc::new(Semaphore::new(0));
        let (sizes, begun) = mpsc::unbounded_channel();
        let worker_gate = Arc::clone(&gate);
        let batcher = Batcher::start_with(patience, 4, move |jobs: Vec<u32>| {
            let gate = Arc::clone(&worker_gate);
            sizes.send(jobs.len()).expect("the test listens");
            async move {
                gate.acquire().await.expect("the gate stays").forget();
                jobs.into_iter().map(|job| job * 2).collect()
            }
        });
        Gated { batcher, gate, begun }
    }

    fn submit(batcher: &Batcher<u32, u32>, job: u32) -> tokio::task::JoinHandle<Option<u32>> {
        let batcher = batcher.clone();
        tokio::spawn(async move { batcher.submit(job).await })
    }

    #[tokio::test]
    async fn every_caller_gets_its_own_answer() {
        let Gated { batcher, gate, begun: _begun } = gated();
        gate.add_permits(100);
        let callers: Vec<_> = (0..16).map(|job| (job, submit(&batcher, job))).collect();
        for (job, caller) in callers {
            assert_eq!(caller.await.expect("no panic"), Some(job * 2));
        }
    }

    #[tokio::test]
    async fn a_lone_job_waits_for_nobody_and_those_behind_it_are_done_together() {
        let Gated { batcher, gate, mut begun } = gated();
        let first = submit(&batcher, 0);
        assert_eq!(begun.recv().await, Some(1));
        let rest: Vec<_> = (1..5).map(|job| submit(&batcher, job)).collect();
        // One is in the hand of the lane whose turn is next.
        while batcher.jobs.capacity() > 4 * WAITING_BATCHES - 3 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(2);
        assert_eq!(begun.recv().await, Some(4));
        assert_eq!(first.await.expect("no panic"), Some(0));
        for (job, caller) in (1..5).zip(rest) {
            assert_eq!(caller.await.expect("no panic"), Some(job * 2));
        }
    }

    #[tokio::test]
    async fn a_batch_that_takes_long_does_not_keep_the_next_one() {
        let Gated { batcher, gate: _gate, mut begun } = gated_with(Duration::ZERO);
        for job in 0..LANES {
            let _never_done = submit(&batcher, u32::try_from(job).expect("a small number"));
            assert_eq!(begun.recv().await, Some(1));
        }
    }

    #[tokio::test]
    async fn more_jobs_than_may_wait_are_refused_at_once() {
        let Gated { batcher, gate: _gate, mut begun } = gated();
        let _first = submit(&batcher, 0);
        assert_eq!(begun.recv().await, Some(1));
        let mut waiting = Vec::new();
        // One more than fits is in the hand of the lane whose turn is next.
        while batcher.jobs.capacity() > 0 {
            waiting.push(submit(&batcher, 1));
            tokio::task::yield_now().await;
        }
        assert_eq!(batcher.submit(2).await, None);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_harms_nobody() {
        let Gated { batcher, gate, mut begun } = gated();
        let impatient = submit(&batcher, 1);
        assert_eq!(begun.recv().await, Some(1));
        impatient.abort();
        gate.add_permits(2);
        assert_eq!(batcher.submit(2).await, Some(4));
    }

    #[tokio::test]
    async fn dropping_the_batcher_finishes_what_was_submitted_and_ends_the_workers() {
        let Gated { batcher, gate, mut begun } = gated();
        let callers: Vec<_> = (0..9).map(|job| submit(&batcher, job)).collect();
        while batcher.jobs.capacity() == batcher.jobs.max_capacity() {
            tokio::task::yield_now().await;
        }
        callers.iter().for_each(tokio::task::JoinHandle::abort);
        drop(batcher);
        gate.add_permits(9);
        let mut done = 0;
        // The workers hold the other end.
        while let Some(jobs) = begun.recv().await {
            done += jobs;
        }
        assert_eq!(done, 9);
    }
}
