//! A client that keeps its connection to the gateway.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const TIMEOUT: Duration = Duration::from_secs(20);
/// Between two looks at an order that is not confirmed yet.
const POLL: Duration = Duration::from_millis(1);
const TOKEN: &str = "thisisajwttoken";
const BILL: &str = r#"{"bill": 62243}"#;
const CARD: &str = r#"{"creditCardDetails": {"number": "4242424242424242", "cvt": 345, "expiry": "12/2030"}}"#;

pub(crate) struct Client {
    host: String,
    requests: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Asks for something at once, so that the first request that counts finds everything open.
    pub(crate) async fn connect(gateway: &str) -> Result<Self> {
        let host = gateway.trim_start_matches("http://").to_owned();
        let requests = open(&host).await?;
        let mut client = Self { host, requests };
        client.read("/api/orders?limit=1", TOKEN).await?;
        Ok(client)
    }

    /// Places an order, with an `Idempotency-Key` if there is one, and answers its id.
    pub(crate) async fn create(&mut self, key: Option<&str>) -> Result<String> {
        let order = self.send(Method::POST, "/api/orders", Some(BILL), TOKEN, key).await?;
        let order: Value = serde_json::from_slice(&order)?;
        order["data"]["id"].as_str().map(str::to_owned).context("an order has no id")
    }

    /// Waits, as the service does, until a new order has its payment.
    pub(crate) async fn see_payment(&mut self, order: &str) -> Result<()> {
        self.read(&format!("/api/payments/{order}"), TOKEN).await
    }

    pub(crate) async fn pay(&mut self, order: &str, key: Option<&str>) -> Result<()> {
        self.send(Method::POST, &format!("/api/payments/pay/{order}"), Some(CARD), TOKEN, key).await.map(drop)
    }

    pub(crate) async fn cancel(&mut self, order: &str) -> Result<()> {
        self.send(Method::DELETE, &format!("/api/orders/{order}"), None, TOKEN, None).await.map(drop)
    }

    /// The first page of the user's orders.
    pub(crate) async fn list(&mut self) -> Result<()> {
        self.read("/api/orders?limit=20", TOKEN).await
    }

    pub(crate) async fn wait_until_confirmed(&mut self, order: &str) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        let path = format!("/api/orders/{order}");
        while Instant::now() < deadline {
            let order: Value = serde_json::from_slice(&self.send(Method::GET, &path, None, TOKEN, None).await?)?;
            if order["data"]["status"] == "confirmed" {
                return Ok(());
            }
            sleep(POLL).await;
        }
        bail!("{order} is paid and not confirmed after {} s", TIMEOUT.as_secs())
    }

    pub(crate) async fn read(&mut self, path: &str, token: &str) -> Result<()> {
        self.send(Method::GET, path, None, token, None).await.map(drop)
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&'static str>,
        token: &str,
        key: Option<&str>,
    ) -> Result<Bytes> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(HOST, &self.host).header(AUTHORIZATION, token);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let request = request.body(Full::from(body.unwrap_or_default()))?;
        let answering = async {
            // The gateway ends a connection after many requests.
            if self.requests.ready().await.is_err() {
                self.requests = open(&self.host).await?;
            }
            let answer = self.requests.send_request(request).await?;
            let status = answer.status();
            anyhow::Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        let (status, text) = timeout(TIMEOUT, answering).await.with_context(|| format!("{path} is not answered"))??;
        ensure!(status.is_success(), "{path} answers {status}: {}", String::from_utf8_lossy(&text));
        Ok(text)
    }
}

async fn open(host: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its errors come up at the requests.
    tokio::spawn(connection);
    Ok(requests)
}
