//! How even the machine is. A host that lends the cores to somebody else now and then is seen by no counter of its guest: a
//! core that does nothing but count just counts less for a while.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const LENGTH: Duration = Duration::from_secs(3);
/// What holds a core up for longer is seen.
const SLICE: Duration = Duration::from_millis(10);
const COUNTED_AT_ONCE: u32 = 10_000;
/// A core that does less than this of the usual is slow.
const SLOW: f64 = 0.5;

/// A piece of a core's time, and how much was counted in it.
struct Slice {
    seconds: f64,
    per_second: f64,
}

/// The share of time, in percent, in which a core that counts does less than half of what it usually does, all cores at
/// once. The machine should have nothing else to do.
pub(crate) fn slow_percent() -> Result<f64> {
    let cores = thread::available_parallelism().context("nobody knows how many cores there are")?.get();
    let slices: Vec<Slice> = thread::scope(|scope| {
        let counting: Vec<_> = (0..cores).map(|_| scope.spawn(count)).collect();
        counting.into_iter().flat_map(|core| core.join().unwrap_or_default()).collect()
    });
    Ok(100.0 * slow_share(slices))
}

fn count() -> Vec<Slice> {
    let (began, mut slices) = (Instant::now(), Vec::new());
    while began.elapsed() < LENGTH {
        let (begun, mut counted) = (Instant::now(), 0.0);
        while begun.elapsed() < SLICE {
            for number in 0..COUNTED_AT_ONCE {
                black_box(number);
            }
            counted += f64::from(COUNTED_AT_ONCE);
        }
        let seconds = begun.elapsed().as_secs_f64();
        slices.push(Slice { seconds, per_second: counted / seconds });
    }
    slices
}

/// Usual is what half of all slices reach, and half of them do not.
fn slow_share(mut slices: Vec<Slice>) -> f64 {
    slices.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    let usual = slices.get(slices.len() / 2).map_or(0.0, |slice| slice.per_second);
    let time = |slices: &mut dyn Iterator<Item = &Slice>| slices.map(|slice| slice.seconds).sum::<f64>();
    time(&mut slices.iter().filter(|slice| slice.per_second < usual * SLOW)) / time(&mut slices.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_slow_as_long_as_it_counts_less_than_half_of_the_usual() {
        let slices = |seconds, per_second, count| (0..count).map(move |_| Slice { seconds, per_second });
        let uneven = slices(0.01, 100.0, 30).chain(slices(0.01, 60.0, 10)).chain(slices(0.1, 20.0, 1));
        assert!((slow_share(uneven.collect()) - 0.2).abs() < 1e-9);
    }
}
