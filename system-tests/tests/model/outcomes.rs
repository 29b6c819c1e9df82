//! Everything that may come of things done at the same time: the model in every order of their steps.

use std::collections::BTreeSet;

use crate::model::{Next, Step, World};
use crate::words::{Act, Answer};

/// A world and how far everybody in it has got.
type Scene = (World, Vec<Next>);

/// The worlds that doing all of this at the same time may lead to, each with the answers that go with it.
pub fn outcomes(mut world: World, acts: &[Act]) -> BTreeSet<(World, Vec<Answer>)> {
    let racers = acts.iter().map(|act| Next::Then(world.first_step(act))).collect();
    let (mut seen, mut ends) = (BTreeSet::new(), BTreeSet::new());
    let mut open: Vec<Scene> = vec![(world, racers)];
    while let Some(scene) = open.pop() {
        if !seen.insert(scene.clone()) {
            continue;
        }
        let next = successors(&scene);
        if next.is_empty() {
            ends.insert((scene.0, scene.1.into_iter().filter_map(answer).collect()));
        }
        open.extend(next);
    }
    ends
}

/// The scene after the next step of each racer that has one.
fn successors((world, racers): &Scene) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for (racer, next) in racers.iter().enumerate() {
        let Next::Then(step) = next else { continue };
        let mut after = (world.clone(), racers.clone());
        after.1[racer] = after.0.take(step.clone());
        scenes.push(after);
        let are_others_busy = racers.iter().enumerate().any(|(other, next)| other != racer && !is_done(next));
        if matches!(step, Step::Claim(_)) && are_others_busy {
            // The settlement leaves alone what somebody else is just changing.
            let mut skipped = (world.clone(), racers.clone());
            skipped.1[racer] = Next::Done(Answer::Nothing);
            scenes.push(skipped);
        }
    }
    scenes
}

fn is_done(next: &Next) -> bool {
    matches!(next, Next::Done(_))
}

fn answer(next: Next) -> Option<Answer> {
    match next {
        Next::Done(answer) => Some(answer),
        Next::Then(_) => None,
    }
}
