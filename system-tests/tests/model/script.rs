//! What happens in a test case: a row of random transitions.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

use crate::words::{Card, Line, Place};

/// More would only keep each of them from meeting anything.
const MAX_ORDERS: usize = 5;

/// One step of a script. Orders are named by the order in which they were placed.
#[derive(Clone, Debug)]
pub enum Transition {
    PlaceOrder,
    /// One thing happens alone.
    Do {
        order: usize,
        deed: Deed,
    },
    /// Things happen to one order at the same time.
    AtOnce {
        order: usize,
        deeds: Vec<Deed>,
    },
    /// Events of any orders arrive as one batch.
    Batch {
        events: Vec<(usize, Pick)>,
    },
}

/// Something that is done to an order.
#[derive(Clone, Debug)]
pub enum Deed {
    ReadOrder,
    ReadPayment,
    Cancel,
    Pay(Card),
    /// Pays, and the processor keeps the charge waiting.
    PayAndHang(Card, Place),
    /// Lets one of the order's waiting charges go on.
    LetGo(Choice),
    /// Events of the order arrive.
    Arrive(Vec<Pick>),
    /// The time for the settlement comes.
    Settle(Line),
    /// The time to pay ends.
    Expire,
    /// The time of the delivery comes.
    Deliver,
}

/// Chooses one of however many there are just then, as a remainder.
pub type Choice = usize;

/// Chooses one of an order's events.
#[derive(Clone, Copy, Debug)]
pub enum Pick {
    /// One that has not arrived yet.
    Fresh(Choice),
    /// Any, also again.
    Any(Choice),
}

/// What decides which transitions make sense. The model of the services is another, and is told what was observed:
/// what comes of things that happen at the same time cannot be known before.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    orders: usize,
}

impl ReferenceStateMachine for Script {
    type State = Self;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self { orders: 0 }).boxed()
    }

    fn transitions(script: &Self) -> BoxedStrategy<Transition> {
        let place = Just(Transition::PlaceOrder);
        if script.orders == 0 {
            return place.boxed();
        }
        // Mostly the newest, since older ones tend to be over.
        let order = prop_oneof![2 => Just(script.orders - 1), 1 => 0..script.orders];
        let one = (order.clone(), deed()).prop_map(|(order, deed)| Transition::Do { order, deed });
        let few = (order.clone(), vec(meeting(), 1..=3));
        let few = few.prop_map(|(order, deeds)| Transition::AtOnce { order, deeds });
        let batch = vec((order, pick()), 1..=6).prop_map(|events| Transition::Batch { events });
        let one_or_more = prop_oneof![10 => one, 8 => few, 2 => batch];
        if script.orders == MAX_ORDERS {
            return one_or_more.boxed();
        }
        prop_oneof![2 => place, 20 => one_or_more].boxed()
    }

    fn apply(mut script: Self, transition: &Transition) -> Self {
        script.orders += usize::from(matches!(transition, Transition::PlaceOrder));
        script
    }

    /// Shrinking must not take away an order that is still spoken of.
    fn preconditions(script: &Self, transition: &Transition) -> bool {
        match transition {
            Transition::PlaceOrder => true,
            Transition::Do { order, .. } | Transition::AtOnce { order, .. } => *order < script.orders,
            Transition::Batch { events } => events.iter().all(|(order, _)| *order < script.orders),
        }
    }
}

/// Anything.
fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        12 => meeting(),
        7 => (card(), place()).prop_map(|(card, place)| Deed::PayAndHang(card, place)),
        2 => prop_oneof![Just(Line::Dead), Just(Line::Deaf)].prop_map(Deed::Settle),
    ]
}

/// What may happen at the same time as something else.
fn meeting() -> impl Strategy<Value = Deed> {
    prop_oneof![
        1 => Just(Deed::ReadOrder),
        1 => Just(Deed::ReadPayment),
        2 => Just(Deed::Cancel),
        8 => card().prop_map(Deed::Pay),
        8 => choice().prop_map(Deed::LetGo),
        16 => vec(pick(), 1..=3).prop_map(Deed::Arrive),
        7 => Just(Deed::Settle(Line::Good)),
        1 => Just(Deed::Expire),
        2 => Just(Deed::Deliver),
    ]
}

fn card() -> impl Strategy<Value = Card> {
    prop_oneof![
        4 => Just(Card::Approved),
        2 => Just(Card::Declined),
        1 => Just(Card::Empty),
        2 => Just(Card::ChargedInSilence),
        2 => Just(Card::Lost),
        1 => Just(Card::StumblesOnRefund),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![Just(Place::BeforeCharging), Just(Place::AfterCharging)]
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![3 => choice().prop_map(Pick::Fresh), 1 => choice().prop_map(Pick::Any)]
}

fn choice() -> impl Strategy<Value = Choice> {
    0_usize..12
}
