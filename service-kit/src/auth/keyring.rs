//! The keys that are known now: loaded at the start, again every few minutes, and when a token names an unknown one.
//!
//! While the source is away or sends nonsense, the keys that were known go on to be used. Nobody can have it asked more
//! often than [`Pace::gap`] by sending tokens with made-up names, nor keep many requests waiting for its answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jsonwebtoken::Header;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::key_set::{KeySet, Lookup, Origin, SigningKey};

/// More than any set of keys has.
const MAX_BYTES: u64 = 256 * 1024;
/// How long the endpoint may take for its whole answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How many requests may wait for a fetch at a time.
const MAX_WAITING: usize = 64;

/// Where the keys come from.
pub(super) enum Source {
    /// A file with a JWK Set, a JWK or PEM.
    File(PathBuf),
    /// An address that answers a JWK Set.
    Endpoint { url: String, agent: Agent },
}

impl Source {
    pub(super) fn endpoint(url: &str) -> Self {
        let is_https = url.starts_with("https://");
        if !is_https {
            warn!("AUTH_JWT_JWKS_URL is not https: whoever is on the way can put in keys of their own");
        }
        // The certificates that the system trusts, so that an issuer may have one of a company's own authority.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder().https_only(is_https).tls_config(tls).proxy(None);
        let config = config.timeout_global(Some(FETCH_TIMEOUT)).max_redirects(0).build();
        Self::Endpoint { url: url.to_owned(), agent: config.into() }
    }

    fn load(&self) -> Result<KeySet> {
        match self {
            Self::File(path) => {
                let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                KeySet::parse(&bytes, Origin::File).with_context(|| path.display().to_string())
            }
            Self::Endpoint { url, agent } => {
                let request = agent.get(url).header("Accept", "application/jwk-set+json, application/json");
                let mut answer = request.call()?;
                ensure!(answer.status() == 200, "it answers {}", answer.status());
                KeySet::parse(&answer.body_mut().with_config().limit(MAX_BYTES).read_to_vec()?, Origin::Endpoint)
            }
        }
    }
}

/// How often the source is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// While all goes well.
    pub(super) refresh: Duration,
    /// Between two times at least.
    pub(super) gap: Duration,
    /// How long a request waits for it.
    pub(super) patience: Duration,
}

impl Pace {
    /// Of an endpoint on the network.
    pub(super) const ENDPOINT: Self = Self { refresh: Duration::from_mins(5), ..Self::FILE };
    /// Of a file, which costs nothing.
    pub(super) const FILE: Self =
        Self { refresh: Duration::from_secs(5), gap: Duration::from_secs(5), patience: Duration::from_secs(2) };
}

/// What is known of the keys, and how old that is.
#[derive(Clone)]
struct Known {
    keys: Option<Arc<KeySet>>,
    asked_at: Option<Instant>,
    /// How often in a row the source could not be read.
    failures: u32,
}

/// Why there is no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// There is none of that name, or it is for another algorithm.
    Unknown,
    /// Nobody can say: the source cannot be read.
    Unavailable,
}

pub(super) struct Keyring {
    source: Arc<Source>,
    pace: Pace,
    known: watch::Sender<Known>,
    wanted: Notify,
    waiting: Semaphore,
}

impl Keyring {
    /// A file has to be there and readable now; an endpoint may come later.
    pub(super) fn open(source: Source, pace: Pace) -> Result<Self> {
        let (keys, asked_at) = match source {
            Source::File(_) => (Some(Arc::new(source.load()?)), Some(Instant::now())),
            Source::Endpoint { .. } => (None, None),
        };
        let known = watch::Sender::new(Known { keys, asked_at, failures: 0 });
        let waiting = Semaphore::new(MAX_WAITING);
        Ok(Self { source: Arc::new(source), pace, known, wanted: Notify::new(), waiting })
    }

    /// Whether any token can be checked.
    pub(super) fn has_keys(&self) -> bool {
        self.known.borrow().keys.is_some()
    }

    /// The key for the token with this header. If it is not known, the source is asked once more, unless it has just
    /// been asked.
    pub(super) async fn find(&self, header: &Header) -> Result<SigningKey, NoKey> {
        let mut news = self.known.subscribe();
        let known = news.borrow_and_update().clone();
        let found = known.find(header);
        let was_asked_just_now = known.asked_at.is_some_and(|at| at.elapsed() < self.pace.gap);
        match found {
            Some(Lookup::Found(key)) => return Ok(key.clone()),
            Some(Lookup::OtherAlgorithm) => return Err(NoKey::Unknown),
            Some(Lookup::Unknown) | None if was_asked_just_now => return known.verdict(header),
            Some(Lookup::Unknown) | None => {}
        }
        let Ok(_permit) = self.waiting.try_acquire() else { return Err(NoKey::Unavailable) };
        self.wanted.notify_one();
        match timeout(self.pace.patience, news.changed()).await {
            Ok(Ok(())) => news.borrow().verdict(header),
            _ => Err(NoKey::Unavailable),
        }
    }

    /// Loads the keys again and again until `stop`.
    pub(super) async fn keep_fresh(&self, stop: CancellationToken) {
        let mut next = if self.has_keys() { self.pace.refresh } else { Duration::ZERO };
        loop {
            let asked_for = async {
                sleep(self.pace.gap).await;
                self.wanted.notified().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(next) => {}
                () = asked_for => {}
            }
            next = self.refresh().await;
        }
    }

    /// Answers how long to wait until the next time.
    async fn refresh(&self) -> Duration {
        let source = Arc::clone(&self.source);
        let loaded = tokio::task::spawn_blocking(move || source.load()).await.unwrap_or_else(|panic| Err(panic.into()));
        let mut failures = 0;
        self.known.send_modify(|known| {
            known.asked_at = Some(Instant::now());
            match loaded {
                Ok(keys) => {
                    if known.failures > 0 || known.keys.is_none() {
                        info!("the signing keys are known");
                    }
                    (known.keys, known.failures) = (Some(Arc::new(keys)), 0);
                }
                Err(problem) => {
                    known.failures = known.failures.saturating_add(1);
                    warn!("the signing keys cannot be loaded, those that are known go on to be used: {problem:#}");
                }
            }
            failures = known.failures;
        });
        // 1 s, 2 s, 4 s, …, and in the end as seldom as when all goes well.
        failures.checked_sub(1).map_or(self.pace.refresh, |n| {
            Duration::from_secs(1_u64.checked_shl(n).unwrap_or(u64::MAX)).min(self.pace.refresh)
        })
    }
}

impl Known {
    fn find(&self, header: &Header) -> Option<Lookup<'_>> {
        self.keys.as_ref().map(|keys| keys.find(header))
    }

    /// What can be said now, without asking again.
    fn verdict(&self, header: &Header) -> Result<SigningKey, NoKey> {
        match self.find(header) {
            Some(Lookup::Found(key)) => Ok(key.clone()),
            Some(Lookup::OtherAlgorithm) => Err(NoKey::Unknown),
            // It may be a new key of an issuer that cannot be reached.
            Some(Lookup::Unknown) if self.failures == 0 => Err(NoKey::Unknown),
            Some(Lookup::Unknown) | None => Err(NoKey::Unavailable),
        }
    }
}
