//! What an attempt to deliver has led to, and when the next one is made. Pure: no I/O.

use std::time::Duration;

use crate::webhooks::client::{Answer, Failure};

/// How long after each attempt the next one is made, as the specification suggests: ten attempts in three days.
pub const DELAYS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];
/// The longest that a receiver may ask for with `Retry-After`.
const LONGEST: Duration = Duration::from_hours(24);

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has taken it.
    Delivered,
    /// Not yet: try again after so long.
    Again(Duration),
    /// It was tried often enough.
    GivenUp,
    /// The receiver wants no more of anything.
    Gone,
}

/// The verdict on an attempt, before which there were so many others. `chance` is from 0 to 1: what failed together is not
/// tried again together.
pub fn judge(attempts_before: usize, outcome: &Result<Answer, Failure>, chance: f64) -> Verdict {
    let asked_for = match outcome {
        Ok(Answer { status: 200..=299, .. }) => return Verdict::Delivered,
        Ok(Answer { status: 410, .. }) => return Verdict::Gone,
        Ok(answer) => answer.retry_after.unwrap_or_default().min(LONGEST),
        Err(_) => Duration::ZERO,
    };
    match DELAYS.get(attempts_before) {
        Some(delay) => Verdict::Again(delay.mul_f64(0.9 + 0.2 * chance).max(asked_for)),
        None => Verdict::GivenUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<u64>) -> Answer {
        Answer { status, retry_after: retry_after.map(Duration::from_secs) }
    }

    #[test]
    fn only_a_status_from_200_to_299_is_a_success() {
        for status in [200, 201, 204, 299] {
            assert_eq!(judge(0, &Ok(answer(status, None)), 0.5), Verdict::Delivered);
        }
        for status in [101, 199, 300, 301, 307, 308, 400, 404, 429, 500, 502, 503, 504] {
            assert_eq!(judge(0, &Ok(answer(status, None)), 0.5), Verdict::Again(DELAYS[0]), "{status}");
        }
        assert_eq!(judge(0, &Ok(answer(410, None)), 0.5), Verdict::Gone);
    }

    #[test]
    fn ten_attempts_are_made_within_days_and_not_all_at_the_same_moment() {
        let failed = Err(Failure::NoAnswer);
        for (before, delay) in DELAYS.iter().enumerate() {
            assert_eq!(judge(before, &failed, 0.0), Verdict::Again(delay.mul_f64(0.9)));
            assert_eq!(judge(before, &failed, 1.0), Verdict::Again(delay.mul_f64(1.1)));
        }
        assert_eq!(judge(DELAYS.len(), &failed, 0.5), Verdict::GivenUp);
        let days = DELAYS.iter().sum::<Duration>().as_secs_f64() / 86400.0;
        assert!((3.0..4.0).contains(&days), "{days}");
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_but_not_for_ever() {
        assert_eq!(judge(0, &Ok(answer(503, Some(60))), 0.5), Verdict::Again(Duration::from_mins(1)));
        assert_eq!(judge(0, &Ok(answer(429, Some(1))), 0.5), Verdict::Again(DELAYS[0]));
        assert_eq!(judge(0, &Ok(answer(503, Some(u64::MAX))), 0.5), Verdict::Again(LONGEST));
    }
}
