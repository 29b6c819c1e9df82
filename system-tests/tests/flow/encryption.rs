//! The services and servers that they reach encrypted: those that an authority of the settings vouches for, and no others.

use clap::Parser;
use orders_service::config::Config;
use service_kit::broker::Broker;
use service_kit::pool::Database;
use service_kit::testing::authority::Authority;
use service_kit::testing::{self, Login};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::encrypted::{Front, Protocol};
use crate::link::broker_address;
use crate::services::{DEADLINE, Services, amqp_url};

#[sqlx::test(migrations = false)]
async fn orders_are_placed_and_paid_over_encrypted_links(superuser: PgPool) {
    let authority = Authority::new();
    let broker = Front::of(broker_address(&amqp_url()), Protocol::Amqp, &authority, "localhost").await;
    let database = Front::of(address(&superuser), Protocol::Postgres, &authority, "localhost").await;
    let amqp_url = encrypted_amqp_url(&broker);
    let reach = |url: String| encrypted(&url, &database, &authority);
    let further = ["--amqp-ca-file", authority.file()];
    let services = Services::start_over(superuser, reach, [&amqp_url, &amqp_url], &further).await;
    let id = services.place_order().await;
    services.payment_becomes(id, "pending").await;
    assert_eq!(services.pay(id, "4242424242424242").await.0, 200);
    services.order_becomes(id, "delivered", "paid").await;
    assert!(broker.is_trusted() && database.is_trusted(), "nothing has gone another way");
    services.stop().await;
}

#[tokio::test]
async fn a_broker_that_cannot_prove_who_it_is_hears_no_password() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    for (authority, host) in [(&theirs, "localhost"), (&ours, "elsewhere.example")] {
        let mut front = Front::of(broker_address(&amqp_url()), Protocol::Amqp, authority, host).await;
        let broker = broker(&encrypted_amqp_url(&front), &["--amqp-ca-file", ours.file()]).expect("sound settings");
        let (mut sessions, stop) = (broker.sessions("publisher"), CancellationToken::new());
        tokio::select! {
            session = sessions.next(&stop) => panic!("{host} is trusted: {}", session.is_some()),
            refused = tokio::time::timeout(DEADLINE, front.is_refused()) => refused.expect("it is tried again"),
        }
    }
}

#[tokio::test]
async fn of_several_nodes_one_is_found_that_is_there_and_can_prove_who_it_is() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let away = TcpListener::bind("127.0.0.1:0").await.and_then(|free| free.local_addr()).expect("a free port");
    let unknown = Front::of(broker_address(&amqp_url()), Protocol::Amqp, &theirs, "localhost").await;
    let known = Front::of(broker_address(&amqp_url()), Protocol::Amqp, &ours, "localhost").await;
    let url = encrypted_amqp_url(&known);
    let host = format!("localhost:{}", known.port);
    let nodes = format!("localhost:{},localhost:{},{host}", away.port(), unknown.port);
    let broker = broker(&url.replacen(&host, &nodes, 1), &["--amqp-ca-file", ours.file()]).expect("sound settings");
    let stop = CancellationToken::new();
    // Each time in another order.
    for _ in 0..5 {
        let session = tokio::time::timeout(DEADLINE, broker.sessions("publisher").next(&stop)).await;
        session
            .expect("one is found")
            .expect("nobody has stopped it")
            .connection
            .close(200, "done".into())
            .await
            .expect("an end");
    }
    assert!(known.is_trusted() && !unknown.is_trusted(), "the wrong one is trusted");
}

#[sqlx::test(migrations = false)]
async fn a_database_that_cannot_prove_who_it_is_hears_no_password(superuser: PgPool) {
    testing::bootstrap(&superuser).await;
    let (ours, theirs) = (Authority::new(), Authority::new());
    let url = testing::url_of(&superuser, "orders", Login::Service);
    for (authority, host) in [(&theirs, "localhost"), (&ours, "elsewhere.example")] {
        let front = Front::of(address(&superuser), Protocol::Postgres, authority, host).await;
        let database = Database::connect_lazy(&encrypted(&url, &front, &ours), 1).expect("a URL");
        let refusal = sqlx::query("select 1").execute(&database).await.expect_err("it is refused");
        assert!(refusal.to_string().contains("certificate"), "{host}: {refusal}");
        assert!(!front.is_trusted(), "{host}");
    }
    // And one that does not encrypt at all.
    let plain = format!("{url}{}sslmode=verify-full&sslrootcert={}", separator(&url), ours.file());
    let database = Database::connect_lazy(&plain, 1).expect("a URL");
    let refusal = sqlx::query("select 1").execute(&database).await.expect_err("it is refused");
    assert!(refusal.to_string().contains("TLS"), "{refusal}");
}

#[test]
fn who_vouches_for_the_broker_is_said_exactly_when_it_is_encrypted() {
    let authority = Authority::new();
    for (url, further, complaint) in [
        ("amqps://localhost", &[][..], "takes AMQP_CA_FILE"),
        ("amqp://localhost", &["--amqp-ca-file", authority.file()], "does not begin with amqps"),
        ("amqps://localhost", &["--amqp-ca-file", "/nowhere"], "/nowhere"),
        ("amqps://localhost", &["--amqp-ca-file", "/dev/null"], "no certificate"),
    ] {
        let refusal = broker(url, further).err().map(|problem| format!("{problem:#}"));
        assert!(refusal.as_ref().is_some_and(|refusal| refusal.contains(complaint)), "{url} {further:?}: {refusal:?}");
    }
}

fn broker(url: &str, further: &[&str]) -> anyhow::Result<Broker> {
    let arguments = ["service", "--database-url", "postgres://localhost", "--amqp-url", url];
    let config = Config::parse_from(arguments.iter().chain(further));
    Broker::new(&config.settings, "orders-service", orders_service::EVENTS)
}

fn encrypted_amqp_url(front: &Front) -> String {
    let (url, port) = (amqp_url(), front.port);
    url.replacen("amqp://", "amqps://", 1).replacen(&broker_address(&url), &format!("localhost:{port}"), 1)
}

/// The URL of the same login behind the front, with everything that can be asked of it.
fn encrypted(url: &str, front: &Front, authority: &Authority) -> String {
    let (start, rest) = url.split_once('@').expect("a login");
    let (_, path) = rest.split_once('/').expect("a database");
    let separator = separator(path);
    // The last of two settings counts.
    format!("{start}@localhost:{}/{path}{separator}sslmode=verify-full&sslrootcert={}", front.port, authority.file())
}

fn separator(url: &str) -> char {
    if url.contains('?') { '&' } else { '?' }
}

fn address(superuser: &PgPool) -> String {
    let options = superuser.connect_options();
    format!("{}:{}", options.get_host(), options.get_port())
}
