//! A card processor for what the sandbox cannot show: questions that a test stops half-way, and silence.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use payments_service::processor::{AttemptId, CardProcessor, Charge, NoAnswer, Record, Verdict, VoidRequest};
use payments_service::sandbox::Sandbox;
use tokio::sync::Semaphore;

/// Where a question waits to be let go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The request is on its way: the processor has not heard of it.
    BeforeCharging,
    /// The answer is on its way: the processor has written it down.
    AfterCharging,
    /// The settlement asks what became of a charge.
    BeforeLookingUp,
    /// The processor has told the settlement that it knows of no charge.
    BeforeVoiding,
}

/// The sandbox at the end of a line that the test can hold.
pub struct HeldProcessor {
    sandbox: Sandbox,
    hold: Hold,
    /// A permit for each question that waits.
    waiting: Semaphore,
    /// A permit for each question that may go on.
    let_go: Semaphore,
    silent: AtomicBool,
}

impl HeldProcessor {
    pub fn new(sandbox: Sandbox, hold: Hold) -> Self {
        let (waiting, let_go) = (Semaphore::new(0), Semaphore::new(0));
        Self { sandbox, hold, waiting, let_go, silent: AtomicBool::new(false) }
    }

    /// Comes back once one more charge waits.
    pub async fn charge_waits(&self) {
        self.question_waits().await;
    }

    /// Comes back once one more question waits, whichever is held.
    pub async fn question_waits(&self) {
        self.waiting.acquire().await.expect("stays open").forget();
    }

    /// Lets one question go on.
    pub fn let_go(&self) {
        self.let_go.add_permits(1);
    }

    /// Whether look-ups, voids and refunds get no answer.
    pub fn be_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }

    async fn wait_at(&self, place: Hold) {
        if self.hold == place {
            self.waiting.add_permits(1);
            self.let_go.acquire().await.expect("stays open").forget();
        }
    }

    fn speak(&self) -> Result<(), NoAnswer> {
        if self.silent.load(Ordering::SeqCst) { Err(NoAnswer("silence".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl CardProcessor for HeldProcessor {
    async fn charge(&self, charge: Charge) -> Result<Verdict, NoAnswer> {
        self.wait_at(Hold::BeforeCharging).await;
        let verdict = self.sandbox.charge(charge).await;
        self.wait_at(Hold::AfterCharging).await;
        verdict
    }

    async fn look_up(&self, attempt_id: AttemptId) -> Result<Record, NoAnswer> {
        self.speak()?;
        self.wait_at(Hold::BeforeLookingUp).await;
        self.sandbox.look_up(attempt_id).await
    }

    async fn void(&self, charge: VoidRequest) -> Result<Record, NoAnswer> {
        self.speak()?;
        self.wait_at(Hold::BeforeVoiding).await;
        self.sandbox.void(charge).await
    }

    async fn refund(&self, attempt_id: AttemptId) -> Result<(), NoAnswer> {
        self.speak()?;
        self.sandbox.refund(attempt_id).await
    }
}
