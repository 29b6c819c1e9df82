//! Where the database is: one server, or several of which one takes writes, all in one URL as libpq has it:
//! `postgres://user:password@one:5432,two:5432/database`. sqlx itself knows a single server only.
//!
//! A standby is never worked on, not even to read: what it tells may be older than what was answered.

use std::io;
use std::str::FromStr;

use futures_util::FutureExt;
use futures_util::future::select_ok;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::unprepared::Statements;

/// libpq's parameter for what is always so here.
const TARGET: &str = "target_session_attrs";
/// What it may say, if anything.
const TARGETS: [&str; 2] = ["read-write", "primary"];

/// sqlx's parameter for what a pooler may need that does not keep account of prepared statements.
const UNPREPARED: &str = "statement-cache-capacity=0";

/// The servers of one database, with the login.
#[derive(Clone, Debug)]
pub struct Servers {
    options: Vec<PgConnectOptions>,
    pub(crate) statements: Statements,
}

/// A URL that cannot be read. It may have a password in it and is not quoted.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableUrl {
    /// As sqlx says.
    #[error("the database URL cannot be read: {0}")]
    Malformed(#[from] sqlx::Error),
    /// One of a standby, for instance.
    #[error("the database URL asks for a server that may be read only: leave out {TARGET}, or let it be read-write")]
    MayBeReadOnly,
}

impl FromStr for Servers {
    type Err = UnreadableUrl;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (login, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let statements = if target.split(['?', '&']).any(|parameter| parameter == UNPREPARED) {
            Statements::Unprepared
        } else {
            Statements::Prepared
        };
        let target = without_session_attributes(target)?;
        let servers = hosts.split(',').map(|host| format!("{scheme}://{login}{host}{target}").parse());
        Ok(Self { options: servers.collect::<Result<_, sqlx::Error>>()?, statements })
    }
}

/// The path and the query, without the parameter that sqlx does not know.
fn without_session_attributes(target: &str) -> Result<String, UnreadableUrl> {
    let Some((path, query)) = target.split_once('?') else { return Ok(target.to_owned()) };
    let mut others = Vec::new();
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some((TARGET, value)) if TARGETS.contains(&value) => {}
            Some((TARGET, _)) => return Err(UnreadableUrl::MayBeReadOnly),
            _ => others.push(parameter),
        }
    }
    Ok(if others.is_empty() { path.to_owned() } else { format!("{path}?{}", others.join("&")) })
}

impl Servers {
    /// The same with further options for each connection.
    #[must_use]
    pub fn with(self, further: impl Fn(PgConnectOptions) -> PgConnectOptions) -> Self {
        Self { options: self.options.into_iter().map(further).collect(), ..self }
    }

    /// Connects to the server that takes writes. An only server is taken as it is: nobody else could be asked.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        match self.options.as_slice() {
            [_] => self.connect_to(0).await,
            _ => Ok(self.find().await?.1),
        }
    }

    /// Asks all of them at the same time, so that one that does not answer holds up nobody.
    async fn find(&self) -> Result<(usize, PgConnection), sqlx::Error> {
        let asked = (0..self.options.len()).map(|index| {
            async move {
                let mut connection = self.connect_to(index).await?;
                ensure_writable(&mut connection).await?;
                Ok::<_, sqlx::Error>((index, connection))
            }
            .boxed()
        });
        Ok(select_ok(asked).await?.0)
    }

    /// Which of them takes writes.
    pub(crate) async fn find_writable(&self) -> Result<usize, sqlx::Error> {
        let (index, connection) = self.find().await?;
        connection.close().await?;
        Ok(index)
    }

    /// Whether one of them lets us in and, if there are others, takes writes.
    pub(crate) async fn visit(&self, index: usize) -> Result<(), sqlx::Error> {
        let mut connection = self.connect_to(index).await?;
        if self.are_several() {
            ensure_writable(&mut connection).await?;
        }
        connection.close().await
    }

    /// Connects to one of them, on a thread of its own until it has let us in. To log in takes four thousand rounds of a hash,
    /// and after each five of them sqlx lets everybody else go first (<https://github.com/transact-rs/sqlx/issues/4005>):
    /// beside thousands of requests a second that took up to three seconds, after which whoever waits for it is refused.
    pub(crate) async fn connect_to(&self, index: usize) -> Result<PgConnection, sqlx::Error> {
        let (options, runtime) = (self.options(index).clone(), Handle::current());
        let waiting = CancellationToken::new();
        let _until_nobody_waits = waiting.clone().drop_guard();
        let connecting = spawn_blocking(move || runtime.block_on(waiting.run_until_cancelled(options.connect())));
        connecting.await.ok().flatten().unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    pub(crate) fn are_several(&self) -> bool {
        self.options.len() > 1
    }

    pub(crate) fn options(&self, index: usize) -> &PgConnectOptions {
        &self.options[index]
    }
}

/// Refuses a standby, and a server that was told to take no writes.
pub(crate) async fn ensure_writable(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let answer = sqlx::raw_sql("show transaction_read_only").fetch_one(connection).await?;
    match answer.try_get::<&str, _>(0)? {
        "off" => Ok(()),
        _ => Err(sqlx::Error::Io(io::Error::other("the server takes no writes"))),
    }
}

/// Whether a statement failed since its server takes no writes: it is a standby, or became one.
pub(crate) fn is_read_only(error: &sqlx::Error) -> bool {
    // read_only_sql_transaction
    error.as_database_error().is_some_and(|refusal| refusal.code().as_deref() == Some("25006"))
}

/// Whether the server does not let us in yet.
pub(crate) fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(cause) => cause.kind() == io::ErrorKind::ConnectionRefused,
        // too_many_connections, cannot_connect_now
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| ["53300", "57P03"].contains(&&*code)),
        _ => false,
    }
}

/// Whether the server may be gone, and another one have taken its place.
pub(crate) fn may_be_gone(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) => true,
        // Operator intervention: it stops, starts or recovers.
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Vec<(String, u16, Option<String>)> {
        let Servers { options: servers, .. } = url.parse().expect("a URL");
        let described = servers
            .iter()
            .map(|server| (server.get_host().to_owned(), server.get_port(), server.get_database().map(str::to_owned)));
        described.collect()
    }

    #[test]
    fn each_host_has_a_port_of_its_own_and_all_have_the_same_database() {
        let shop = || Some("shop".to_owned());
        assert_eq!(read("postgres://me:a,b@one/shop"), [("one".to_owned(), 5432, shop())]);
        assert_eq!(
            read("postgres://me:a,b@one:1,two,[::1]:3/shop?target_session_attrs=read-write"),
            [("one".to_owned(), 1, shop()), ("two".to_owned(), 5432, shop()), ("[::1]".to_owned(), 3, shop())]
        );
    }

    #[test]
    fn other_parameters_stay() {
        let query = "target_session_attrs=primary&application_name=orders&statement-cache-capacity=0";
        let servers: Servers = format!("postgres://one,two/shop?{query}").parse().expect("a URL");
        assert_eq!(servers.statements, Statements::Unprepared);
        assert!(servers.options.iter().all(|server| server.get_application_name() == Some("orders")));
    }

    #[test]
    fn a_standby_is_not_to_be_asked_for() {
        let refused = "postgres://one,two/shop?target_session_attrs=any".parse::<Servers>();
        assert!(matches!(refused, Err(UnreadableUrl::MayBeReadOnly)));
        let unreadable = "postgres://me:secret@one:port/shop".parse::<Servers>().expect_err("no port");
        assert!(!unreadable.to_string().contains("secret"));
    }
}
