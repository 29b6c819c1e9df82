//! Keys from an endpoint that changes them, is down, slow, or sends nonsense.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::jwt::{JwtVerifier, Refusal};
use super::keyring::{Keyring, Pace, Source};
use super::signed_tokens::{AUDIENCE, ISSUER, Issuer};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// What the endpoint does when it is asked.
#[derive(Clone)]
enum Behaviour {
    Keys(Vec<Value>),
    Text(&'static str),
    Status(StatusCode),
    Huge,
    Silent,
}

/// An issuer's address on this machine.
#[derive(Clone)]
struct Endpoint {
    behaviour: Arc<Mutex<Behaviour>>,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    async fn start(behaviour: Behaviour) -> (Self, String) {
        let endpoint = Self { behaviour: Arc::new(Mutex::new(behaviour)), asked: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        let routes = Router::new().route("/keys", get(answer)).with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (endpoint, url)
    }

    fn becomes(&self, behaviour: Behaviour) {
        *self.behaviour.lock().expect("no panic") = behaviour;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer(State(endpoint): State<Endpoint>) -> Response {
    endpoint.asked.fetch_add(1, Ordering::SeqCst);
    let behaviour = endpoint.behaviour.lock().expect("no panic").clone();
    match behaviour {
        Behaviour::Keys(keys) => json!({"keys": keys}).to_string().into_response(),
        Behaviour::Text(text) => text.into_response(),
        Behaviour::Status(status) => (status, [("location", "/elsewhere")]).into_response(),
        Behaviour::Huge => format!("{{\"keys\":[{}]}}", " ".repeat(2_000_000)).into_response(),
        Behaviour::Silent => std::future::pending().await,
    }
}

struct Client {
    verifier: Arc<JwtVerifier>,
    stop: CancellationToken,
}

impl Client {
    fn of(url: &str, pace: Pace) -> Self {
        let keyring = Keyring::open(Source::endpoint(url), pace).expect("an endpoint may come later");
        let verifier = Arc::new(JwtVerifier::new(keyring, ISSUER, AUDIENCE, Duration::ZERO));
        let (stop, kept) = (CancellationToken::new(), Arc::clone(&verifier));
        let until = stop.clone();
        tokio::spawn(async move { kept.keyring.keep_fresh(until).await });
        Self { verifier, stop }
    }

    async fn user(&self, token: &str) -> Result<String, Refusal> {
        self.verifier.user(token).await.map(|user| user.0)
    }

    /// Waits until the token is answered so.
    async fn eventually(&self, token: &str, expected: Result<&str, fn(&Refusal) -> bool>) {
        let comes_true = async {
            loop {
                let outcome = self.user(token).await;
                let is_so = match (&outcome, expected) {
                    (Ok(user), Ok(expected)) => user == expected,
                    (Err(refusal), Err(expected)) => expected(refusal),
                    _ => false,
                };
                if is_so {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, comes_true).await.is_ok(), "{:?}", self.user(token).await);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn is_invalid(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Invalid(_))
}

fn is_unavailable(refusal: &Refusal) -> bool {
    *refusal == Refusal::KeysUnavailable
}

/// As often as they like.
const EAGER: Pace = Pace { refresh: Duration::from_millis(20), gap: Duration::ZERO, patience: DEADLINE };
/// Only when a token asks for it.
const ON_DEMAND: Pace = Pace { refresh: Duration::from_hours(1), ..EAGER };

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it_and_an_old_one_is_forgotten() {
    let (old, new) = (Issuer::es256("old"), Issuer::eddsa("new"));
    let (endpoint, url) = Endpoint::start(Behaviour::Keys(vec![old.jwk()])).await;
    let client = Client::of(&url, ON_DEMAND);
    client.eventually(&old.token("alice"), Ok("alice")).await;
    endpoint.becomes(Behaviour::Keys(vec![new.jwk()]));
    assert_eq!(client.user(&new.token("bob")).await.as_deref(), Ok("bob"));
    client.eventually(&old.token("alice"), Err(is_invalid)).await;
}

#[tokio::test]
async fn what_is_wrong_with_the_endpoint_leaves_the_known_keys_in_use() {
    let (known, unknown) = (Issuer::es256("known"), Issuer::eddsa("unknown"));
    let (endpoint, url) = Endpoint::start(Behaviour::Keys(vec![known.jwk()])).await;
    let client = Client::of(&url, EAGER);
    client.eventually(&known.token("alice"), Ok("alice")).await;
    for trouble in [
        Behaviour::Status(StatusCode::INTERNAL_SERVER_ERROR),
        Behaviour::Status(StatusCode::FOUND),
        Behaviour::Text("<html>"),
        Behaviour::Text("{\"keys\": []}"),
        Behaviour::Huge,
    ] {
        endpoint.becomes(trouble);
        // Nobody can say whether the issuer has such a key.
        client.eventually(&unknown.token("bob"), Err(is_unavailable)).await;
        assert_eq!(client.user(&known.token("alice")).await.as_deref(), Ok("alice"));
        endpoint.becomes(Behaviour::Keys(vec![known.jwk()]));
        client.eventually(&unknown.token("bob"), Err(is_invalid)).await;
    }
}

#[tokio::test]
async fn without_any_key_a_token_is_neither_good_nor_bad() {
    let issuer = Issuer::es256("e");
    let (endpoint, url) = Endpoint::start(Behaviour::Status(StatusCode::SERVICE_UNAVAILABLE)).await;
    let client = Client::of(&url, EAGER);
    assert_eq!(client.user(&issuer.token("alice")).await, Err(Refusal::KeysUnavailable));
    assert!(!client.verifier.keyring.has_keys());
    endpoint.becomes(Behaviour::Keys(vec![issuer.jwk()]));
    client.eventually(&issuer.token("alice"), Ok("alice")).await;
    assert!(client.verifier.keyring.has_keys());
}

#[tokio::test]
async fn a_silent_endpoint_keeps_few_waiting_and_none_for_long() {
    let issuer = Issuer::es256("e");
    let (_endpoint, url) = Endpoint::start(Behaviour::Silent).await;
    let client = Client::of(&url, Pace { patience: Duration::from_millis(50), ..EAGER });
    let tokens: Vec<String> = (0..200).map(|_| issuer.token("alice")).collect();
    let answers = futures_util::future::join_all(tokens.iter().map(|token| client.user(token))).await;
    assert!(answers.iter().all(|answer| *answer == Err(Refusal::KeysUnavailable)));
}

#[tokio::test]
async fn made_up_names_do_not_have_the_endpoint_asked_again_and_again() {
    let (known, made_up) = (Issuer::es256("known"), Issuer::es256("made up"));
    let (endpoint, url) = Endpoint::start(Behaviour::Keys(vec![known.jwk()])).await;
    let client = Client::of(&url, Pace { gap: Duration::from_hours(1), ..ON_DEMAND });
    client.eventually(&known.token("alice"), Ok("alice")).await;
    for _ in 0..200 {
        assert!(client.user(&made_up.token("mallory")).await.is_err_and(|refusal| is_invalid(&refusal)));
    }
    assert_eq!(endpoint.asked(), 1);
}

#[tokio::test]
async fn a_secret_that_everybody_can_fetch_is_no_key() {
    let secret = Issuer::hs256("h", b"a secret of thirty-two bytes or so");
    let good = Issuer::es256("e");
    let (_endpoint, url) = Endpoint::start(Behaviour::Keys(vec![secret.jwk(), good.jwk()])).await;
    let client = Client::of(&url, ON_DEMAND);
    client.eventually(&good.token("alice"), Ok("alice")).await;
    client.eventually(&secret.token("mallory"), Err(is_invalid)).await;
}
