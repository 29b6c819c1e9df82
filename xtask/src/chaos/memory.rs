//! What the clients remember of a run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::judge::Action;
use super::requests::{Answer, Request};

/// What one client was told.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) creations: Vec<Creation>,
    /// The orders whose pay was answered with 200.
    pub(crate) paid: Vec<String>,
    /// The orders whose cancel was answered with 200.
    pub(crate) cancelled: Vec<String>,
    /// How often each action was answered how.
    pub(crate) answers: BTreeMap<(Action, String), u64>,
    /// How many answers to a repeated request could be compared with an earlier one.
    pub(crate) compared: u64,
    pub(crate) slowest: Duration,
    pub(crate) heard: Vec<Heard>,
    pub(crate) wrong: Vec<(Rule, String)>,
}

/// The end of a request that was waited for.
pub(crate) struct Heard {
    pub(crate) at: Instant,
    /// What was asked for and said instead, if nobody could do it.
    pub(crate) refusal: Option<String>,
}

/// What a client itself can tell to be wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Answer,
    Repetition,
    Version,
    /// Everything works again.
    Life,
}

/// A wish for an order, which no two have the reference of.
pub(crate) struct Creation {
    pub(crate) reference: String,
    pub(crate) user: &'static str,
    pub(crate) bill: u64,
    /// The id that was answered with 201.
    pub(crate) accepted: Option<String>,
}

/// A request with a key, and its first final answer.
pub(super) struct Promise {
    pub(super) action: Action,
    pub(super) request: Request,
    pub(super) first: Option<Answer>,
    pub(super) creation: Option<usize>,
    pub(super) order: Option<String>,
}
