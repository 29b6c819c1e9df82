//! What a client makes of an answer: a promise to remember, or a complaint.

use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Client, lock};
use super::judge::{self, Action};
use super::memory::{Heard, Promise, Rule};
use super::requests::{self, Answer, HANGS_AFTER, Request, USERS};

impl Client<'_> {
    /// Takes note of what was promised with the first answer to a request, and of its key.
    pub(super) fn remember(
        &mut self,
        action: Action,
        request: Request,
        answer: Option<Answer>,
        creation: Option<usize>,
        order: Option<String>,
    ) {
        let is_keyed = request.key.is_some();
        self.promises.push(Promise { action, request, first: None, creation, order });
        let index = self.promises.len() - 1;
        if let Some(answer) = answer {
            self.keep(index, &answer);
        }
        if !is_keyed {
            self.promises.pop();
        }
    }

    /// Takes note of the first final answer.
    pub(super) fn keep(&mut self, index: usize, answer: &Answer) {
        if !judge::is_final(answer) {
            return;
        }
        let promise = &mut self.promises[index];
        promise.first = Some(answer.clone());
        if let Some(order) = promise.order.clone().filter(|_| answer.status == 200) {
            self.memory.paid.push(order);
        }
        if let Some(creation) = promise.creation {
            self.accept(creation, answer);
        }
    }

    fn accept(&mut self, creation: usize, answer: &Answer) {
        let shown = &answer.body["data"];
        let wish = &mut self.memory.creations[creation];
        let told = json!([shown["reference"], shown["createdBy"], shown["bill"], shown["currency"], shown["status"]]);
        let as_wished = told == json!([wish.reference, wish.user, wish.bill, "USD", "created"]);
        wish.accepted = shown["id"].as_str().map(str::to_owned);
        let id = wish.accepted.clone().filter(|_| as_wished);
        match id {
            Some(id) => lock(&self.pool[self.number % USERS.len()]).push(id),
            None => self.complain(Rule::Answer, &format!("another order was placed than wished for: {}", answer.body)),
        }
    }

    /// Sends a request and judges its answer.
    pub(super) fn send(&mut self, action: Action, request: &Request) -> Option<Answer> {
        let began = Instant::now();
        let outcome = self.line.send(request);
        let took = began.elapsed();
        self.memory.slowest = self.memory.slowest.max(took);
        let what = format!("{} {}", request.method, request.path);
        if took + Duration::from_secs(1) > HANGS_AFTER {
            self.complain(Rule::Answer, &format!("{what} took {:.1} s", took.as_secs_f32()));
        }
        let answer = match outcome {
            Ok(answer) => answer,
            Err(problem) => {
                let nothing = if requests::is_refusal(&problem) { "no connection" } else { "no answer" };
                self.hear(Some(format!("{what}: {nothing}: {problem}")));
                self.count(action, nothing.to_owned());
                return None;
            }
        };
        self.hear(judge::is_refusal(&answer).then(|| format!("{what}: {}", answer.name())));
        self.count(action, answer.name());
        if let Some(complaint) = judge::complaint(action, &answer) {
            self.complain(Rule::Answer, &format!("{what}: the answer {} {complaint}: {}", answer.name(), answer.body));
        }
        if !answer.is_replayed {
            self.compare_versions(&what, &answer);
        }
        Some(answer)
    }

    /// What a client has seen once, it never sees undone.
    fn compare_versions(&mut self, what: &str, answer: &Answer) {
        for (name, version) in judge::versions(answer) {
            let before = self.seen.insert(name.clone(), version).filter(|before| *before > version);
            if let Some(before) = before {
                self.complain(Rule::Version, &format!("{what}: {name} went back from version {before} to {version}"));
            }
        }
    }

    fn hear(&mut self, refusal: Option<String>) {
        self.memory.heard.push(Heard { at: Instant::now(), refusal });
    }

    pub(super) fn count(&mut self, action: Action, answer: String) {
        *self.memory.answers.entry((action, answer)).or_default() += 1;
    }

    pub(super) fn complain(&mut self, rule: Rule, complaint: &str) {
        self.memory.wrong.push((rule, format!("client {}: {complaint}", self.number)));
    }
}
