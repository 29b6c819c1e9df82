//! Random histories: requests, events in any order and number, crashes, time that passes, and all that at the same
//! time. Both real services are compared with a small model after every step.
//!
//! A failure prints the shortest history that was found and how to play it again. `PROPTEST_CASES` asks for more
//! histories than the usual, `PROPTEST_RNG_SEED` for others.

mod model;
mod order_rules;
mod outcomes;
mod payment_rules;
mod settlement_rules;
mod sight;
mod words;

mod observe;
mod processor;
mod settings;
mod system;

mod invariants;
mod met;
mod play;
mod script;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner, contextualize_config};
use proptest_state_machine::ReferenceStateMachine;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::runtime::Runtime;

use crate::met::Met;
use crate::play::Player;
use crate::script::{Script, Transition};
use crate::system::System;

/// About a minute on two slow cores.
const CASES: u32 = 100;
const TRANSITIONS: std::ops::Range<usize> = 10..60;
/// What happens at the same time may go well by chance.
const TIMES_WHEN_SHRINKING: usize = 4;
/// The histories are the same in every run, so that a failure comes from the change at hand.
const SEED: u64 = 20_120_229;

#[sqlx::test(migrations = false)]
async fn the_services_do_what_the_model_does_whatever_happens(database: PgPool) {
    let options = (*database.connect_options()).clone();
    // proptest is synchronous, and things that happen at the same time need a runtime with several threads.
    let playing = tokio::task::spawn_blocking(move || {
        let runtime = Runtime::new().expect("a runtime");
        let system = runtime.block_on(System::start(PgPoolOptions::new().connect_lazy_with(options)));
        let played = play_many(&runtime, &system);
        runtime.block_on(system.leave());
        played
    });
    if let Err(report) = playing.await.expect("no panic") {
        panic!("{report}");
    }
}

/// Plays histories until one fails, and then shorter ones for as long as they fail too.
fn play_many(runtime: &Runtime, system: &Arc<System>) -> Result<(), String> {
    let config = contextualize_config(Config {
        cases: CASES,
        rng_seed: RngSeed::Fixed(SEED),
        // The seed finds the same histories again; a file of old ones would fit no other script.
        failure_persistence: None,
        // Both limits are for histories that fail slowly or only now and then.
        max_shrink_iters: 2000,
        max_shrink_time: 60_000,
        ..Config::default()
    });
    let (cases, seed) = (config.cases, config.rng_seed);
    let (met, number) = (Met::default(), AtomicUsize::new(0));
    let mut runner = TestRunner::new(config);
    let played = runner.run(&Script::sequential_strategy(TRANSITIONS), |(_, transitions, seen)| {
        let is_first_run = seen.is_some();
        number.fetch_add(usize::from(is_first_run), Ordering::SeqCst);
        let times = if is_first_run { 1 } else { TIMES_WHEN_SHRINKING };
        let mut playing = (0..times).map(|_| runtime.block_on(play(system, &met, &transitions, seen.as_deref())));
        playing.find(Result::is_err).unwrap_or(Ok(())).map_err(TestCaseError::fail)
    });
    match played {
        Err(TestError::Fail(reason, (_, transitions, _))) => {
            Err(report(seed, number.into_inner(), &transitions, reason.message()))
        }
        Err(TestError::Abort(reason)) => Err(reason.to_string()),
        Ok(()) if cases >= CASES && !met.missing().is_empty() => Err(format!("never met: {:?}", met.missing())),
        Ok(()) => Ok(()),
    }
}

async fn play(
    system: &Arc<System>,
    met: &Met,
    transitions: &[Transition],
    seen: Option<&AtomicUsize>,
) -> Result<(), String> {
    let mut player = Player::new(Arc::clone(system), met).await;
    for (number, transition) in transitions.iter().enumerate() {
        if let Some(seen) = seen {
            // What was never played is the first to go when a shorter history is looked for.
            seen.fetch_add(1, Ordering::SeqCst);
        }
        player.play(transition).await.map_err(|reason| format!("at step {number}, {reason}"))?;
    }
    player.come_to_rest().await.map_err(|reason| format!("when coming to rest, {reason}"))
}

fn report(seed: RngSeed, number: usize, transitions: &[Transition], reason: &str) -> String {
    let steps: Vec<String> =
        transitions.iter().enumerate().map(|(number, transition)| format!("{number:3} {transition:?}")).collect();
    let seed = match seed {
        RngSeed::Fixed(seed) => seed.to_string(),
        RngSeed::Random => "none".to_owned(),
    };
    format!(
        "history {number} fails: {reason}\n\nThe shortest that fails like it:\n{}\n\nAgain: \
         PROPTEST_RNG_SEED={seed} PROPTEST_CASES={number} cargo xtask test -p system-tests --test model",
        steps.join("\n")
    )
}
