//! `cargo xtask demo`: half a minute in the life of the system, to be watched in the console.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

mod shop;

use crate::demo::shop::Shop;
use crate::state::{self, Phase, State};
use crate::{admin, paths, print, services, up};

/// How long orders take to be delivered, unless said otherwise: short enough to be watched.
const DELIVERY_DELAY: &str = "10s";
/// After which an order that is not settled will not be.
const PATIENCE: Duration = Duration::from_mins(3);

const APPROVED: &str = "4242424242424242";
const SLOW: &str = "4000000000006306";
const REFUND_FAILS_ONCE: &str = "4000000000006405";
const ANSWER_IS_LOST: &str = "4000000000006108";
const INSUFFICIENT_FUNDS: &str = "4000000000009995";
const LOST_CARD: &str = "4000000000009987";

/// Uses the system that runs in the folder, or starts one there.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    up: up::Options,
    /// From one thing to the next
    #[arg(long, value_name = "DURATION", default_value = "700ms", value_parser = humantime::parse_duration)]
    pace: Duration,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let dir = options.up.dir()?;
    if state::running(&dir)?.is_none() {
        let delay = std::env::var_os("DELIVERY_DELAY").unwrap_or_else(|| DELIVERY_DELAY.into());
        let delay = ("DELIVERY_DELAY".to_owned(), delay.to_string_lossy().into_owned());
        up::start_detached(&options.up, BTreeMap::from([(services::ORDERS.to_owned(), vec![delay])]))?;
    }
    let running = state::running(&dir)?.context("the system has ended")?;
    print::out(format_args!("\nOpen {}/ and watch. (The operators' token is {}.)", running.gateway, admin::token()?));
    if io::stdin().is_terminal() {
        print::out("Enter begins.");
        io::stdin().read_line(&mut String::new())?;
    }
    let mut demo =
        Demo { shop: Shop::new(&running.gateway), pace: options.pace, began: Instant::now(), orders: vec![] };
    demo.play(&dir)?;
    demo.settle()?;
    demo.say("and all books are compared:");
    reconcile(&dir)
}

/// What is shown, and what has been shown so far.
struct Demo {
    shop: Shop,
    pace: Duration,
    began: Instant,
    /// The ids of all orders that were placed.
    orders: Vec<String>,
}

impl Demo {
    fn play(&mut self, dir: &Path) -> Result<()> {
        self.say("customers place orders and pay them");
        for (order, card) in [
            (json!({"bill": 129_900, "reference": "Desk, oak"}), APPROVED),
            (json!({"bill": 24_500, "currency": "EUR", "reference": "Reading lamp"}), APPROVED),
            (json!({"bill": 4800, "currency": "JPY", "reference": "Kyoto samples"}), APPROVED),
            (json!({"bill": 62_243, "reference": "Spring order 2291"}), APPROVED),
            (json!({"bill": 250_000, "currency": "CHF", "reference": "Watch strap, calf leather"}), APPROVED),
        ] {
            let order = self.place(&order)?;
            self.pay(&order, card)?;
        }

        self.say("two cards are declined; one customer tries another card");
        let order = self.place(&json!({"bill": 8990, "currency": "GBP", "reference": "Invoice 20391"}))?;
        self.pay(&order, INSUFFICIENT_FUNDS)?;
        self.pay(&order, APPROVED)?;
        let order = self.place(&json!({"bill": 1999, "reference": "Sticker pack"}))?;
        self.pay(&order, LOST_CARD)?;

        self.say("two paid orders are cancelled: the money goes back, though one refund fails at first");
        for (bill, reference, card) in [(34_900, "Desk lamp", APPROVED), (78_000, "Office chair", REFUND_FAILS_ONCE)] {
            let order = self.place(&json!({"bill": bill, "reference": reference}))?;
            self.pay(&order, card)?;
            self.shop.cancel(&order)?;
            thread::sleep(self.pace);
        }

        self.say("a card is charged, but the processor's answer is lost");
        let order = self.place(&json!({"bill": 15_500, "reference": "Standing mat"}))?;
        self.pay(&order, ANSWER_IS_LOST)?;

        self.say("the payments service is killed in the middle of a charge");
        let charged = self.place(&json!({"bill": 99_000, "reference": "Bookshelf, walnut"}))?;
        self.shop.wait_for_payment(&charged)?;
        thread::scope(|scope| -> Result<()> {
            // Nobody gets the answer.
            scope.spawn(|| self.shop.pay_once(&charged, SLOW));
            thread::sleep(Duration::from_secs(1));
            kill_process(dir, services::PAYMENTS)
        })?;
        self.say("orders are taken all the same, and paid when it is back");
        let waiting = ["Notebooks, 12", "Fountain pen", "Ink, blue-black"];
        let waiting = waiting.map(|reference| self.place(&json!({"bill": 3600, "reference": reference})));
        for order in waiting {
            self.pay(&order?, APPROVED)?;
        }
        self.say("the charge that was cut off is looked up; if there was none, the customer pays again");
        if self.shop.is_still_unpaid(&charged)? {
            self.pay(&charged, APPROVED)?;
        }
        Ok(())
    }

    /// Waits until nothing more will happen by itself.
    fn settle(&self) -> Result<()> {
        self.say("now it all settles");
        let (began, mut told) = (Instant::now(), String::new());
        loop {
            let orders = self.shop.read(&self.orders)?;
            let mut counts = BTreeMap::<&str, usize>::new();
            for order in &orders {
                *counts.entry(state_of(order)).or_default() += 1;
            }
            let words = counts.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ");
            if words != told {
                self.say(&words);
                told = words;
            }
            if orders.iter().all(|order| ["delivered", "declined", "refunded"].contains(&state_of(order))) {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "not settled after {} s", PATIENCE.as_secs());
            thread::sleep(Duration::from_millis(250));
        }
    }

    fn place(&mut self, order: &Value) -> Result<String> {
        let id = self.shop.place(order)?;
        self.orders.push(id.clone());
        thread::sleep(self.pace);
        Ok(id)
    }

    fn pay(&self, order: &str, card: &str) -> Result<()> {
        self.shop.pay(order, card)?;
        thread::sleep(self.pace);
        Ok(())
    }

    fn say(&self, words: &str) {
        print::out(format_args!("{:>5.1} s  {words}", self.began.elapsed().as_secs_f32()));
    }
}

/// In a word, with what becomes of the money.
fn state_of(order: &Value) -> &str {
    match (order["status"].as_str(), order["paymentStatus"].as_str()) {
        (Some("cancelled"), Some("refunded")) => "refunded",
        (status, _) => status.unwrap_or_default(),
    }
}

/// With `kill -9`; whoever supervises the stack starts it again.
fn kill_process(dir: &Path, name: &str) -> Result<()> {
    let State { processes, .. } = state::running(dir)?.context("the system has ended")?;
    let process = processes.iter().find(|process| process.name.starts_with(name) && process.state == Phase::Running);
    let Some(pid) = process.and_then(|process| process.pid) else { bail!("{name} does not run") };
    Ok(kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL)?)
}

fn reconcile(dir: &Path) -> Result<ExitCode> {
    let status = Command::new(paths::ourselves()).args(["reconcile", "--dir"]).arg(dir).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
