//! A user of the system, who knows the address of the gateway and a token.

use std::io::{self, BufRead, BufReader};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{HeaderMap, Request};
use uuid::Uuid;

use crate::polling::{DEADLINE, eventually};
use crate::stack;

/// The number in the ancestor's documentation.
pub const SAMPLE_CARD: &str = "10298310928301";
/// Always approved.
pub const GOOD_CARD: &str = "4242424242424242";
/// Always declined for insufficient funds.
pub const EMPTY_CARD: &str = "4000000000009995";
/// Approved after three seconds.
pub const SLOW_CARD: &str = "4000000000006306";

/// Whoever holds a token.
#[derive(Clone)]
pub struct User {
    token: Option<&'static str>,
    gateway: String,
    agent: Agent,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null when it is not JSON.
    pub body: Value,
}

impl User {
    /// The demo user of the ancestor.
    pub fn demo() -> Self {
        Self::with_token(Some("thisisajwttoken"))
    }

    pub fn alice() -> Self {
        Self::with_token(Some("alice-token"))
    }

    pub fn nobody() -> Self {
        Self::with_token(None)
    }

    /// The same user of another stack.
    pub fn at(self, gateway: &str) -> Self {
        Self { gateway: gateway.to_owned(), ..self }
    }

    fn with_token(token: Option<&'static str>) -> Self {
        // Each request has a connection of its own: one that was open when a process died would fail a later request.
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(DEADLINE));
        let agent = config.max_idle_connections(0).proxy(None).build().into();
        Self { token, gateway: stack::gateway_url(), agent }
    }

    /// Sends a request that has to be answered.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        match self.try_send(method, path, body) {
            Ok(answer) => answer,
            Err(problem) => panic!("{method} {path} was not answered: {problem}"),
        }
    }

    /// Sends a request that may stay without an answer, because something is down.
    pub fn try_send(&self, method: &str, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        self.try_send_text(method, path, if body.is_null() { None } else { Some(body.to_string()) }, &[])
    }

    /// Sends any body, with further headers.
    pub fn try_send_text(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.gateway));
        for (name, value) in self.token.map(|token| ("Authorization", token)).iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let mut answer = match body {
            Some(text) => self.agent.run(request.header("Content-Type", "application/json").body(text)?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let text = answer.body_mut().read_to_string()?;
        Ok(Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: serde_json::from_str(&text).unwrap_or_default(),
        })
    }

    /// Opens a stream behind this event, or at its beginning; its lines.
    pub fn follow(
        &self,
        path: &str,
        last_event_id: &str,
    ) -> Result<impl Iterator<Item = io::Result<String>> + use<>, ureq::Error> {
        let mut request = Request::get(format!("{}{path}", self.gateway)).header("Last-Event-ID", last_event_id);
        if let Some(token) = self.token {
            request = request.header("Authorization", token);
        }
        let answer = self.agent.run(request.body(())?)?;
        if !answer.status().is_success() {
            return Err(ureq::Error::StatusCode(answer.status().as_u16()));
        }
        Ok(BufReader::new(answer.into_body().into_reader()).lines())
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &Value::Null)
    }

    /// Places the ancestor's sample order and returns its id.
    #[track_caller]
    pub fn place_order(&self) -> Uuid {
        let answer = self.send("POST", "/api/orders", &json!({"bill": 62243}));
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.body["data"]["status"], "created", "{answer:?}");
        answer.id().expect("an order has an id")
    }

    #[track_caller]
    pub fn pay(&self, order: &Uuid, card: &str) -> Answer {
        self.send("POST", &format!("/api/payments/pay/{order}"), &card_details(card))
    }

    #[track_caller]
    pub fn cancel(&self, order: &Uuid) -> Answer {
        self.send("DELETE", &format!("/api/orders/{order}"), &Value::Null)
    }

    /// Waits until the order and what it knows of its payment are as expected.
    #[track_caller]
    pub fn order_becomes(&self, id: &Uuid, status: &str, payment_status: &str) -> Value {
        self.becomes(&format!("/api/orders/{id}"), &json!([status, payment_status]), |order| {
            json!([order["status"], order["paymentStatus"]])
        })
    }

    /// Waits until the payment of the order is as expected.
    #[track_caller]
    pub fn payment_becomes(&self, order: &Uuid, status: &str) -> Value {
        self.becomes(&format!("/api/payments/{order}"), &json!(status), |payment| payment["status"].clone())
    }

    #[track_caller]
    fn becomes(&self, path: &str, expected: &Value, view: fn(&Value) -> Value) -> Value {
        eventually(format_args!("{path} becomes {expected}"), || {
            let answer = self.get(path);
            let data = answer.body["data"].clone();
            if view(&data) == *expected { Ok(data) } else { Err(format!("{answer:?}")) }
        })
    }
}

impl Answer {
    /// The id of the order or payment that was answered.
    pub fn id(&self) -> Option<Uuid> {
        self.body["data"]["id"].as_str()?.parse().ok()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert!(self.status == status && self.is_problem(code), "not a problem {status} {code}: {self:?}");
    }

    /// Whether it is a problem document with the id of its request, whoever made it: a service or the gateway.
    pub fn is_problem(&self, code: &str) -> bool {
        let says = |member: &str| self.body[member].as_str().is_some_and(|text| !text.is_empty());
        self.header("Content-Type") == Some("application/problem+json")
            && ["type", "title", "detail", "instance", "requestId"].into_iter().all(says)
            && self.body["code"] == code
            && self.body["status"] == self.status
            && self.body["requestId"].as_str() == self.header("X-Request-Id")
    }
}

/// The ancestor's sample body, with the number of this card.
pub fn card_details(card: &str) -> Value {
    json!({"creditCardDetails": {"number": card, "cvt": 345, "expiry": "4/12/2020"}})
}
