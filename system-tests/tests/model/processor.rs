//! The sandbox at the end of a line that a script can hold, cut and deafen.

use std::sync::Mutex;

use async_trait::async_trait;
use payments_service::processor::{AttemptId, CardProcessor, Charge, NoAnswer, Record, Verdict, VoidRequest};
use payments_service::sandbox::Sandbox;
use tokio::sync::oneshot;

use crate::words::{Line, Place};

/// Lets go of a charge that waits.
pub type Waiting = oneshot::Sender<()>;

/// The processor of the payments service under test.
pub struct Processor {
    sandbox: Sandbox,
    line: Mutex<Line>,
    hold: Mutex<Option<(Place, oneshot::Sender<Waiting>)>>,
}

impl Processor {
    pub fn new(sandbox: Sandbox) -> Self {
        Self { sandbox, line: Mutex::new(Line::Good), hold: Mutex::new(None) }
    }

    /// Keeps the next charge waiting at this place; tells when it is there.
    pub fn hold_next(&self, place: Place) -> oneshot::Receiver<Waiting> {
        let (arrived, arrival) = oneshot::channel();
        *self.hold.lock().expect("nobody panics here") = Some((place, arrived));
        arrival
    }

    /// Keeps no charge waiting any more.
    pub fn hold_none(&self) {
        *self.hold.lock().expect("nobody panics here") = None;
    }

    /// Changes the line that look-ups, voids and refunds go through.
    pub fn set_line(&self, line: Line) {
        *self.line.lock().expect("nobody panics here") = line;
    }

    fn line(&self) -> Line {
        *self.line.lock().expect("nobody panics here")
    }

    fn speak(&self) -> Result<(), NoAnswer> {
        if self.line() == Line::Dead { Err(NoAnswer("the line is dead".to_owned())) } else { Ok(()) }
    }

    fn hear<T>(&self, answer: T) -> Result<T, NoAnswer> {
        if self.line() == Line::Good { Ok(answer) } else { Err(NoAnswer("nobody hears the answer".to_owned())) }
    }
}

/// Waits to be let go. A charge that never will be ends here, as that of a service that died would.
async fn wait(arrived: oneshot::Sender<Waiting>) -> Result<(), NoAnswer> {
    let (waiting, let_go) = oneshot::channel();
    drop(arrived.send(waiting));
    let_go.await.map_err(|_| NoAnswer("the script is over".to_owned()))
}

#[async_trait]
impl CardProcessor for Processor {
    async fn charge(&self, charge: Charge) -> Result<Verdict, NoAnswer> {
        let hold = self.hold.lock().expect("nobody panics here").take();
        match hold {
            None => self.sandbox.charge(charge).await,
            Some((Place::BeforeCharging, arrived)) => {
                wait(arrived).await?;
                self.sandbox.charge(charge).await
            }
            Some((Place::AfterCharging, arrived)) => {
                let verdict = self.sandbox.charge(charge).await;
                wait(arrived).await?;
                verdict
            }
        }
    }

    async fn look_up(&self, attempt_id: AttemptId) -> Result<Record, NoAnswer> {
        self.speak()?;
        self.sandbox.look_up(attempt_id).await
    }

    async fn void(&self, charge: VoidRequest) -> Result<Record, NoAnswer> {
        self.speak()?;
        let record = self.sandbox.void(charge).await?;
        self.hear(record)
    }

    async fn refund(&self, attempt_id: AttemptId) -> Result<(), NoAnswer> {
        self.speak()?;
        self.sandbox.refund(attempt_id).await?;
        self.hear(())
    }
}
