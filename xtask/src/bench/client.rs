//! A client that keeps its connection to the gateway.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request};

const TIMEOUT: Duration = Duration::from_secs(20);
/// Between two looks at an order that is not confirmed yet.
const POLL: Duration = Duration::from_millis(1);
const TOKEN: &str = "thisisajwttoken";
const BILL: &str = r#"{"bill": 62243}"#;
const CARD: &str = r#"{"creditCardDetails": {"number": "4242424242424242", "cvt": 345, "expiry": "12/2030"}}"#;

pub(crate) struct Client {
    gateway: String,
    agent: Agent,
}

impl Client {
    pub(crate) fn new(gateway: &str) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).proxy(None);
        Self { gateway: gateway.to_owned(), agent: config.build().into() }
    }

    /// So that the first request does not pay for it.
    pub(crate) fn connect(&self) -> Result<()> {
        self.read("/api/orders?limit=1", TOKEN)
    }

    /// Places an order and answers its id.
    pub(crate) fn create(&self) -> Result<String> {
        let order = self.send(Method::POST, "/api/orders", Some(BILL), TOKEN)?;
        let order: Value = serde_json::from_str(&order)?;
        order["data"]["id"].as_str().map(str::to_owned).context("an order has no id")
    }

    /// Waits, as the service does, until a new order has its payment.
    pub(crate) fn see_payment(&self, order: &str) -> Result<()> {
        self.read(&format!("/api/payments/{order}"), TOKEN)
    }

    pub(crate) fn pay(&self, order: &str) -> Result<()> {
        self.send(Method::POST, &format!("/api/payments/pay/{order}"), Some(CARD), TOKEN).map(drop)
    }

    pub(crate) fn wait_until_confirmed(&self, order: &str) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        let path = format!("/api/orders/{order}");
        while Instant::now() < deadline {
            if self.send(Method::GET, &path, None, TOKEN)?.contains(r#""status":"confirmed""#) {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        bail!("{order} is paid and not confirmed after {} s", TIMEOUT.as_secs())
    }

    pub(crate) fn read(&self, path: &str, token: &str) -> Result<()> {
        self.send(Method::GET, path, None, token).map(drop)
    }

    fn send(&self, method: Method, path: &str, body: Option<&str>, token: &str) -> Result<String> {
        let head = Request::builder().method(method).uri(format!("{}{path}", self.gateway));
        let head = head.header("Authorization", token);
        let mut answer = match body {
            Some(body) => self.agent.run(head.header("Content-Type", "application/json").body(body)?)?,
            None => self.agent.run(head.body(())?)?,
        };
        let text = answer.body_mut().read_to_string()?;
        ensure!(answer.status().is_success(), "{path} answers {}: {text}", answer.status());
        Ok(text)
    }
}
