//! Plays a script on the system, and follows in the model which worlds agree with what is seen.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use shared_events::ids::OrderId;
use tokio::task::JoinSet;

use crate::invariants;
use crate::met::Met;
use crate::model::World;
use crate::observe::look;
use crate::outcomes::outcomes;
use crate::script::{Deed, Pick, Transition};
use crate::sight::Sight;
use crate::system::System;
use crate::words::{Act, Answer, Hold, Letter, Line, PaymentStatus};

/// By then everything has long come to rest: each round delivers and settles all there is.
const ROUNDS_TO_REST: usize = 20;
const DEADLINE: Duration = Duration::from_secs(15);
const BILL: i64 = 62243;

/// A script that is being played.
pub struct Player<'a> {
    system: Arc<System>,
    met: &'a Met,
    orders: Vec<PlacedOrder>,
    tickets: u32,
}

struct PlacedOrder {
    id: OrderId,
    /// The worlds that agree with all that was seen so far.
    worlds: BTreeSet<World>,
    /// What was seen of it last.
    sight: Option<Sight>,
    letters: Vec<SentLetter>,
    /// The tickets of its pays that wait at the processor.
    held: Vec<u32>,
}

struct SentLetter {
    letter: Letter,
    has_arrived: bool,
}

/// What was done to one order at the same time, and what came of each.
#[derive(Clone, Debug, Default)]
struct Done {
    acts: Vec<Act>,
    answers: Vec<Answer>,
}

impl<'a> Player<'a> {
    /// Begins on empty tables.
    pub async fn new(system: Arc<System>, met: &'a Met) -> Self {
        system.reset().await;
        Self { system, met, orders: Vec::new(), tickets: 0 }
    }

    /// Plays one transition. The error says how the system differs from every world of the model.
    pub async fn play(&mut self, transition: &Transition) -> Result<(), String> {
        match transition {
            Transition::PlaceOrder => self.place_order().await,
            Transition::Do { order, deed } => self.perform(*order, std::slice::from_ref(deed)).await,
            Transition::AtOnce { order, deeds } => self.perform(*order, deeds).await,
            Transition::Batch { events } => self.deliver(events).await,
        }
    }

    /// Lets everything arrive and settle, then checks what must hold. Pays that still wait at the processor are those
    /// of a service that died.
    pub async fn come_to_rest(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS_TO_REST {
            let mut is_at_rest = true;
            for order in 0..self.orders.len() {
                let acts = self.orders[order].unfinished();
                is_at_rest &= acts.is_empty();
                for act in acts {
                    self.act(order, vec![act]).await?;
                }
            }
            if is_at_rest {
                return invariants::check(&self.system).await;
            }
        }
        Err(format!("nothing comes to rest in {ROUNDS_TO_REST} rounds"))
    }

    async fn place_order(&mut self) -> Result<(), String> {
        let bill = BILL + i64::try_from(self.orders.len()).expect("few orders");
        let id = self.system.place_order(bill).await?;
        let worlds = BTreeSet::from([World::new(bill)]);
        self.orders.push(PlacedOrder { id, worlds, sight: None, letters: Vec::new(), held: Vec::new() });
        self.compare(HashMap::new()).await
    }

    /// Does everything to the order at the same time.
    async fn perform(&mut self, order: usize, deeds: &[Deed]) -> Result<(), String> {
        let acts = deeds.iter().filter_map(|deed| self.cast(order, deed)).collect();
        self.act(order, acts).await
    }

    async fn act(&mut self, order: usize, acts: Vec<Act>) -> Result<(), String> {
        let id = self.orders[order].id;
        let mut running = JoinSet::new();
        for (place, act) in acts.iter().cloned().enumerate() {
            let performing = Arc::clone(&self.system).perform(id, act);
            running.spawn(async move { (place, performing.await) });
        }
        let mut answers = in_time(running.join_all()).await?;
        answers.sort_by_key(|(place, _)| *place);
        let answers: Vec<Answer> = answers.into_iter().map(|(_, answer)| answer).collect();
        for (act, answer) in acts.iter().zip(&answers) {
            if let (Act::Pay(_, Some(hold)), Answer::Waits) = (act, answer) {
                self.orders[order].held.push(hold.ticket);
            }
        }
        self.compare(HashMap::from([(order, Done { acts, answers })])).await
    }

    /// Gives the consumers all these events, as batches.
    async fn deliver(&mut self, events: &[(usize, Pick)]) -> Result<(), String> {
        let mut letters = Vec::new();
        let mut by_order: HashMap<usize, Vec<Letter>> = HashMap::new();
        for (order, pick) in events {
            let letter = self.orders[*order].take_letter(*pick);
            letters.extend(letter.clone());
            by_order.entry(*order).or_default().extend(letter);
        }
        let answer = in_time(self.system.hear(letters)).await?;
        let done = |letters| Done { acts: vec![Act::Hear(letters)], answers: vec![answer.clone()] };
        self.compare(by_order.into_iter().map(|(order, letters)| (order, done(letters))).collect()).await
    }

    /// What a deed is just now: `None` when there is nothing to do it to.
    fn cast(&mut self, order: usize, deed: &Deed) -> Option<Act> {
        let order = &mut self.orders[order];
        Some(match deed {
            Deed::ReadOrder => Act::ReadOrder,
            Deed::ReadPayment => Act::ReadPayment,
            Deed::Cancel => Act::Cancel,
            Deed::Pay(card) => Act::Pay(*card, None),
            Deed::PayAndHang(card, place) => {
                self.tickets += 1;
                Act::Pay(*card, Some(Hold { place: *place, ticket: self.tickets }))
            }
            Deed::LetGo(_) if order.held.is_empty() => return None,
            Deed::LetGo(choice) => Act::LetGo(order.held.remove(choice % order.held.len())),
            Deed::Arrive(picks) => Act::Hear(picks.iter().filter_map(|pick| order.take_letter(*pick)).collect()),
            Deed::Settle(line) => Act::Settle(*line),
            Deed::Expire => Act::Expire,
            Deed::Deliver => Act::Deliver,
        })
    }

    /// Keeps the worlds that agree with what was done, what came of it, and what is seen now.
    async fn compare(&mut self, mut done: HashMap<usize, Done>) -> Result<(), String> {
        let (mut sights, letters) = look(&self.system).await;
        for (number, order) in self.orders.iter_mut().enumerate() {
            let done = done.remove(&number).unwrap_or_default();
            let sight = sights.remove(&order.id).ok_or_else(|| format!("order {number} is lost"))?;
            order.keep_what_agrees(&done, &sight).map_err(|reason| format!("order {number}: {reason}"))?;
            self.met.note(&done.answers, &sight);
            order.sight = Some(sight);
        }
        for letter in letters {
            let order = self.orders.iter_mut().find(|order| order.id == letter.order_id);
            order.expect("all orders were seen").letters.push(SentLetter { letter, has_arrived: false });
        }
        if sights.is_empty() { Ok(()) } else { Err(format!("nobody placed these orders: {sights:?}")) }
    }
}

/// Nothing takes long here: what does has lost its way.
async fn in_time<T>(work: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(DEADLINE, work).await.map_err(|_| format!("something is not done after {DEADLINE:?}"))
}

impl PlacedOrder {
    fn keep_what_agrees(&mut self, done: &Done, sight: &Sight) -> Result<(), String> {
        let possible: BTreeSet<_> = self.worlds.iter().flat_map(|world| outcomes(world.clone(), &done.acts)).collect();
        let agree = |(world, answers): &&(World, Vec<Answer>)| world.sight() == *sight && *answers == done.answers;
        let agreeing: BTreeSet<World> = possible.iter().filter(agree).map(|(world, _)| world.clone().seen()).collect();
        if agreeing.is_empty() {
            let allowed: Vec<String> =
                possible.iter().map(|(world, answers)| format!("  {answers:?}\n  {:?}", world.sight())).collect();
            let acts: Vec<String> = done.acts.iter().map(Act::to_string).collect();
            return Err(format!(
                "of {acts:?} came\n  {:?}\n  {sight:?}\nand the model allows only\n{}",
                done.answers,
                allowed.join("\nor\n"),
            ));
        }
        self.worlds = agreeing;
        Ok(())
    }

    /// An event that was sent; it has arrived now.
    fn take_letter(&mut self, pick: Pick) -> Option<Letter> {
        let wanted: Vec<usize> = match pick {
            Pick::Any(_) => (0..self.letters.len()).collect(),
            Pick::Fresh(_) => (0..self.letters.len()).filter(|place| !self.letters[*place].has_arrived).collect(),
        };
        let (Pick::Any(choice) | Pick::Fresh(choice)) = pick;
        if wanted.is_empty() {
            return None;
        }
        let sent = &mut self.letters[wanted[choice % wanted.len()]];
        sent.has_arrived = true;
        Some(sent.letter.clone())
    }

    /// What is left to do before nothing more happens by itself; the newest events come first.
    fn unfinished(&mut self) -> Vec<Act> {
        let fresh = self.letters.iter_mut().rev().filter(|sent| !sent.has_arrived);
        let mut acts: Vec<Act> = fresh
            .map(|sent| {
                sent.has_arrived = true;
                Act::Hear(vec![sent.letter.clone()])
            })
            .collect();
        let payment = self.sight.as_ref().and_then(|sight| sight.payment.as_ref());
        if payment.is_some_and(|seen| matches!(seen.status, PaymentStatus::Processing | PaymentStatus::Refunding)) {
            acts.push(Act::Settle(Line::Good));
        }
        acts
    }
}
