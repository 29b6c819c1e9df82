//! Waiting for facts.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

/// How long a fact may take to come true. Generous: it is waited for, not measured.
pub const DEADLINE: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Looks until there is something to see; what was seen instead is shown with the failure.
#[track_caller]
pub fn eventually<T, E: Display>(what: impl Display, look: impl FnMut() -> Result<T, E>) -> T {
    eventually_within(DEADLINE, what, look)
}

/// The same with another deadline.
#[track_caller]
pub fn eventually_within<T, E: Display>(
    deadline: Duration,
    what: impl Display,
    mut look: impl FnMut() -> Result<T, E>,
) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(fact) => return fact,
            Err(instead) => assert!(began.elapsed() < deadline, "{what}: not after {deadline:?}: {instead}"),
        }
        thread::sleep(LOOK_AGAIN);
    }
}
