//! The model: orders side by side, and every step that can be taken.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use stateright::{Model, Property};

use crate::mail::{Outbox, Transport, Way};
use crate::moves::{self, Breach};
use crate::payments::Card;
use crate::properties;
use crate::rules::Rules;
use crate::saga::{Nature, Pace, Saga, Service, Step};

/// The protocol under some rules, within some bounds.
#[derive(Clone)]
pub struct Protocol {
    pub rules: Rules,
    pub bounds: Bounds,
}

/// How much is explored. Faults are not counted: each may come at any time and as often as it likes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub orders: usize,
    /// How often a card is tried for each order.
    pub pays: usize,
    pub cards: &'static [Card],
    pub paces: &'static [Pace],
    pub ways: Ways,
}

/// How closely events are followed on their ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// Message by message and receipt by receipt, each of which may get lost, alone or with all others.
    Long,
    /// What is in an outbox is in the network too, and a receipt comes back at once. A row can be published again at any
    /// time, a message that nobody takes is as good as lost, and what a receipt says stays true: so nothing is left out
    /// but states in which less can happen.
    Short,
    /// And a receipt is written as soon as there is nothing left to do, whether or not the message comes again.
    Shortest,
}

/// Everything there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub sagas: Vec<Saga>,
    /// What the step that led here did, but must never do.
    pub breach: Option<Breach>,
}

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Of(usize, Step),
    /// The service stores what it holds, of all orders with one statement.
    StoreHeld(Service),
    Crash(Service),
    WipeBroker,
}

impl Action {
    fn nature(self) -> Nature {
        match self {
            Self::Of(_, step) => step.nature(),
            Self::StoreHeld(_) => Nature::Duty,
            Self::Crash(_) | Self::WipeBroker => Nature::Fault,
        }
    }
}

impl Protocol {
    pub fn new(rules: Rules, bounds: Bounds) -> Self {
        let rules = match bounds.ways {
            Ways::Long => rules,
            Ways::Short | Ways::Shortest => Rules {
                commit: || Way { in_network: true, ..Way::committed() },
                acknowledge: |way| Way { in_outbox: false, ..way },
                ..rules
            },
        };
        Self { rules, bounds }
    }

    /// The steps that may be possible for an order.
    pub fn steps(&self, saga: &Saga) -> Vec<Step> {
        let mut steps = vec![Step::Place, Step::GiveBack];
        for pace in self.bounds.paces.iter().copied() {
            steps.extend([Step::CancelOrder(pace), Step::Expire(pace), Step::Deliver(pace)]);
            steps.extend([Step::LookUp(pace), Step::RecordRefund(pace)]);
            if saga.attempts.len() < self.bounds.pays {
                steps.extend(self.bounds.cards.iter().map(|card| Step::Pay(*card, pace)));
            }
            for attempt in 0..saga.attempts.len() {
                steps.extend([Step::Answer(attempt, pace), Step::Void(attempt, pace)]);
            }
            steps.extend((0..saga.asked.len()).map(|index| Step::Consume(Outbox::Orders, index, pace)));
            steps.extend((0..saga.told.len()).map(|index| Step::Consume(Outbox::Payments, index, pace)));
        }
        for attempt in 0..saga.attempts.len() {
            steps.extend([Step::SendCharge(attempt), Step::ChargeArrives(attempt), Step::LoseAnswer(attempt)]);
        }
        let transports = match self.bounds.ways {
            Ways::Long => Transport::ALL.as_slice(),
            Ways::Short | Ways::Shortest => &[],
        };
        for index in 0..saga.asked.len() {
            steps.extend(transports.iter().map(|transport| Step::Transport(Outbox::Orders, index, *transport)));
        }
        for index in 0..saga.told.len() {
            steps.extend(transports.iter().map(|transport| Step::Transport(Outbox::Payments, index, *transport)));
        }
        steps
    }

    fn after(&self, world: &World, action: Action) -> Option<Vec<Saga>> {
        let mut sagas = world.sagas.clone();
        match action {
            Action::Of(index, step) => sagas[index] = sagas[index].after(step, &self.rules)?,
            Action::StoreHeld(service) => {
                for saga in &mut sagas {
                    saga.store_held(service, &self.rules);
                }
            }
            Action::Crash(service) => sagas.iter_mut().for_each(|saga| saga.crash(service)),
            Action::WipeBroker => sagas.iter_mut().for_each(Saga::wipe),
        }
        for saga in &mut sagas {
            if self.bounds.ways == Ways::Shortest {
                saga.acknowledge_what_is_done(&self.rules);
            }
            saga.forget_what_no_longer_matters(&self.rules);
        }
        (sagas != world.sagas).then_some(sagas)
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World { sagas: vec![Saga::default(); self.bounds.orders], breach: None }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (index, saga) in world.sagas.iter().enumerate() {
            actions.extend(self.steps(saga).into_iter().map(|step| Action::Of(index, step)));
        }
        for service in [Service::Orders, Service::Payments] {
            actions.extend([Action::StoreHeld(service), Action::Crash(service)]);
        }
        if self.bounds.ways == Ways::Long {
            actions.push(Action::WipeBroker);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut sagas = self.after(world, action)?;
        let steps = world.sagas.iter().zip(&sagas);
        let breach = steps.filter(|(before, after)| before != after).find_map(|(before, after)| {
            moves::breach(before, after).or_else(|| {
                let stands_still = action.nature() != Nature::Fault && after.progress() <= before.progress();
                stands_still.then_some(Breach::NoProgress)
            })
        });
        // Which order is the first makes no difference.
        if let [first, second] = sagas.as_mut_slice()
            && digest(first) > digest(second)
        {
            std::mem::swap(first, second);
        }
        Some(World { sagas, breach: world.breach.or(breach) })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

fn digest(saga: &Saga) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(saga)
}
