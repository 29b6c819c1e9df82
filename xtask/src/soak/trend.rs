//! Whether a curve has come to rest: a line is laid through the second half of the run.
//!
//! What is cleared away once a minute goes up and down with the minutes, so each minute counts once, with its middle value.
//! The slope is the middle one of all pairs of minutes (Theil and Sen), which a single bad minute does not move, and its
//! bounds are those that hold with 95 % if minutes do not depend on each other.

use std::time::Duration;

use crate::bench::figures::Spread;

/// With fewer, the bounds are as wide as the whole range of slopes.
const FEWEST_MINUTES: usize = 5;
/// Of the normal distribution.
const NINETY_FIVE_PERCENT: f64 = 1.96;
/// How much of its level a curve may rise while it is looked at.
const SHARE: f64 = 0.1;

/// A value, and when it was read.
pub(crate) type Point = (Duration, f64);

/// The line through a number of minutes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trend {
    /// The middle value.
    pub(crate) level: f64,
    /// By how much it has risen meanwhile: most likely, at least and at most.
    pub(crate) risen: f64,
    pub(crate) at_least: f64,
    pub(crate) at_most: f64,
    minutes: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has risen by no more than it may, whatever in the bounds is true.
    Flat,
    /// It has risen, and most likely by more than it may.
    Grows,
    /// Neither can be said; a longer run tells.
    Unclear,
}

impl Trend {
    /// None if there are too few minutes to say anything.
    #[expect(clippy::cast_precision_loss, reason = "no run has so many minutes")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    pub(crate) fn from(start: Duration, points: &[Point]) -> Option<Self> {
        let middles = middles_of_minutes(start, points);
        if middles.len() < FEWEST_MINUTES {
            return None;
        }
        let slopes = slopes(&middles);
        let minutes = middles.len() as f64;
        // How far from the middle the bounds are, counted in slopes (Sen 1968).
        let spread = NINETY_FIVE_PERCENT * (minutes * (minutes - 1.0) * (2.0 * minutes + 5.0) / 18.0).sqrt();
        let outside = ((slopes.len() as f64 - spread) / 2.0).max(1.0) as usize - 1;
        let rise = |slope: f64| slope * minutes;
        Some(Self {
            level: middle(&middles),
            risen: rise(middle(&slopes)),
            at_least: rise(slopes[outside]),
            at_most: rise(slopes[slopes.len() - 1 - outside]),
            minutes,
        })
    }

    pub(crate) fn per_hour(&self) -> f64 {
        self.risen * 60.0 / self.minutes
    }

    /// Less than `floor` is nothing.
    pub(crate) fn verdict(&self, floor: f64) -> Verdict {
        let allowed = (self.level * SHARE).max(floor);
        match self {
            _ if self.at_most <= allowed => Verdict::Flat,
            _ if self.at_least > 0.0 && self.risen > allowed => Verdict::Grows,
            _ => Verdict::Unclear,
        }
    }
}

/// Each value as the mean of those of the time before it, which what comes back after that time cannot move.
#[expect(clippy::cast_precision_loss, reason = "no run has so many points")]
pub(crate) fn means_over(time: Duration, points: &[Point]) -> Vec<Point> {
    let mean_until = |until: Duration| {
        let before = points.iter().filter(|(at, _)| *at <= until && *at + time > until).map(|(_, value)| *value);
        let before: Vec<_> = before.collect();
        before.iter().sum::<f64>() / before.len() as f64
    };
    points.iter().map(|(at, _)| (*at, mean_until(*at))).collect()
}

/// Of whole minutes only.
fn middles_of_minutes(start: Duration, points: &[Point]) -> Vec<f64> {
    let last = points.last().map_or(start, |(at, _)| *at);
    let minutes = last.saturating_sub(start).as_secs() / 60;
    let of_minute = |minute| {
        let (from, to) = (start + Duration::from_mins(minute), start + Duration::from_mins(minute + 1));
        points.iter().filter(move |(at, _)| (from..to).contains(at)).map(|(_, value)| *value).collect::<Vec<_>>()
    };
    (0..minutes).map(of_minute).filter(|values| !values.is_empty()).map(|values| middle(&values)).collect()
}

/// From each value to each later one, sorted.
#[expect(clippy::cast_precision_loss, reason = "no run has so many minutes")]
fn slopes(values: &[f64]) -> Vec<f64> {
    let pairs = values.iter().enumerate().flat_map(|(earlier, from)| {
        values.iter().enumerate().skip(earlier + 1).map(move |(later, to)| (to - from) / (later - earlier) as f64)
    });
    let mut slopes: Vec<_> = pairs.collect();
    slopes.sort_by(f64::total_cmp);
    slopes
}

fn middle(values: &[f64]) -> f64 {
    Spread::of(values).map_or(0.0, |spread| spread.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reading each second, of a run whose half has passed.
    fn trend(minutes: u64, value: impl Fn(f64) -> f64) -> Option<Trend> {
        let start = Duration::from_mins(minutes);
        let seconds = (0..=minutes * 60).map(|second| start + Duration::from_secs(second));
        let points: Vec<Point> = seconds.map(|at| (at, value(at.as_secs_f64()))).collect();
        Trend::from(start, &points)
    }

    fn verdict(minutes: u64, value: impl Fn(f64) -> f64) -> Option<Verdict> {
        trend(minutes, value).map(|trend| trend.verdict(1.0))
    }

    #[test]
    fn what_goes_up_and_down_with_the_minute_is_flat() {
        assert_eq!(verdict(5, |_| 100.0), Some(Verdict::Flat));
        assert_eq!(verdict(5, |at| 100.0 + at % 60.0), Some(Verdict::Flat));
    }

    #[test]
    fn one_bad_minute_is_no_trend_and_does_not_hide_one() {
        let bad_at_the_end = |at: f64| if at >= 1140.0 { 500.0 } else { 100.0 };
        assert_eq!(verdict(10, bad_at_the_end), Some(Verdict::Flat));
        let leak_with_a_good_end = |at: f64| if at >= 1140.0 { 100.0 } else { 100.0 + at };
        assert_eq!(verdict(10, leak_with_a_good_end), Some(Verdict::Grows));
    }

    #[test]
    fn a_leak_is_told_by_the_hour() {
        let leak = trend(10, |at| at / 3600.0).expect("ten minutes are enough");
        assert!((leak.per_hour() - 1.0).abs() < 0.001 && leak.at_least > 0.0, "{leak:?}");
        assert_eq!(leak.verdict(1.0), Verdict::Flat, "less than the floor is nothing");
        assert_eq!(leak.verdict(0.01), Verdict::Grows);
    }

    #[test]
    fn what_comes_back_after_half_an_hour_is_flat_and_a_leak_below_it_is_not() {
        const HALF_AN_HOUR: Duration = Duration::from_mins(30);
        let verdict_of_means = |value: fn(f64) -> f64| {
            let points: Vec<Point> =
                (0..620).map(|step| Duration::from_secs(6 * step)).map(|at| (at, value(at.as_secs_f64()))).collect();
            let of = |points: &[Point]| Trend::from(Duration::from_mins(31), points).map(|trend| trend.verdict(1.0));
            (of(&points), of(&means_over(HALF_AN_HOUR, &points)))
        };
        let teeth = |at: f64| 100.0 + at % 1800.0 / 36.0;
        assert_eq!(verdict_of_means(teeth), (Some(Verdict::Grows), Some(Verdict::Flat)));
        let teeth_and_a_leak = |at: f64| 100.0 + at % 1800.0 / 36.0 + at / 60.0;
        assert_eq!(verdict_of_means(teeth_and_a_leak).1, Some(Verdict::Grows));
    }

    #[test]
    fn what_varies_more_than_it_may_grow_is_not_called_flat() {
        let restless = |at: f64| if at % 180.0 < 60.0 { 10.0 } else { 100.0 };
        assert_eq!(verdict(5, restless), Some(Verdict::Unclear));
        assert!(verdict(4, |_| 1.0).is_none(), "four minutes are too few");
    }
}
