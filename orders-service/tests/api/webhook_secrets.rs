//! The secrets of webhooks in the table: what they are good for without their key, and how keys are changed.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use orders_service::webhooks::resealing::reseal;
use serde_json::{Value, json};
use service_kit::testing::receiver::Receiver;
use sqlx::PgPool;

use crate::helpers::TestApp;
use crate::webhook_service::{WEBHOOKS, start, text};

/// A replica whose setting has keys with these ids.
fn with_keys(superuser: &PgPool, ids: &[&str]) -> TestApp {
    let key = |id: &&str| format!("{id}={}", BASE64_STANDARD.encode([id.as_bytes()[0]; 32]));
    let keys = ids.iter().map(key).collect::<Vec<_>>().join(",");
    TestApp::with(superuser, &["--webhook-targets", "any", "--webhook-secret-keys", &keys])
}

impl TestApp {
    /// Both secrets of the only webhook, as they are stored.
    async fn stored(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let secrets = "select secret, previous_secret from orders.webhooks";
        sqlx::query_as(secrets).fetch_one(&self.app.database).await.expect("a webhook")
    }

    async fn reseal(&self) -> usize {
        reseal(&self.app.database, &self.app.webhook_keys).await.expect("the database answers")
    }

    /// Whether a message that is sent now is signed with each of the secrets.
    async fn signs_with(&self, receiver: &Receiver, secrets: &[&str]) -> bool {
        self.placed_order().await;
        self.deliver().await;
        let message = receiver.take().remove(0);
        secrets.iter().all(|secret| message.is_signed_with(secret))
    }
}

fn plain(secret: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64")
}

fn contains(stored: &[u8], secret: &str) -> bool {
    stored.windows(32).any(|part| part == plain(secret))
}

async fn rotate(service: &TestApp, webhook: &Value) -> Value {
    service.post(&format!("{WEBHOOKS}/{}/rotate-secret", text(&webhook["id"]))).await
}

#[sqlx::test(migrations = false)]
async fn whoever_reads_the_table_cannot_sign(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    let rotated = rotate(&service, &webhook).await;
    let (old, new) = (text(&webhook["secret"]), text(&rotated["secret"]));
    let (secret, previous) = service.stored().await;
    assert!(!contains(&secret, new) && !contains(&previous.expect("a secret before"), old));
    assert!(service.signs_with(&receiver, &[old, new]).await);
}

#[sqlx::test(migrations = false)]
async fn secrets_that_are_older_than_the_keys_are_good_and_get_sealed(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    let rotated = rotate(&service, &webhook).await;
    let (old, new) = (text(&webhook["secret"]), text(&rotated["secret"]));
    let before = "update orders.webhooks set secret = $1, previous_secret = $2";
    sqlx::query(before).bind(plain(new)).bind(plain(old)).execute(&service.app.database).await.expect("an old row");
    assert!(service.signs_with(&receiver, &[old, new]).await);
    assert_eq!((service.reseal().await, service.reseal().await), (1, 0));
    let (secret, previous) = service.stored().await;
    assert!(!contains(&secret, new) && !contains(&previous.expect("a secret before"), old));
    assert!(service.signs_with(&receiver, &[old, new]).await);
}

#[sqlx::test(migrations = false)]
async fn a_key_is_changed_while_all_goes_on(database: PgPool) {
    start(&database).await;
    let (before, receiver) = (with_keys(&database, &["one"]), Receiver::start().await);
    let webhook = before.webhook(json!({"url": receiver.url})).await;
    let secret = text(&webhook["secret"]);
    let between = with_keys(&database, &["two", "one"]);
    assert!(between.signs_with(&receiver, &[secret]).await);
    assert_eq!((between.reseal().await, between.reseal().await), (1, 0));
    assert!(with_keys(&database, &["two"]).signs_with(&receiver, &[secret]).await);
}

#[sqlx::test(migrations = false)]
async fn the_secret_from_before_a_rotation_gets_the_new_key_too(database: PgPool) {
    start(&database).await;
    let (before, receiver) = (with_keys(&database, &["one"]), Receiver::start().await);
    let webhook = before.webhook(json!({"url": receiver.url})).await;
    let between = with_keys(&database, &["two", "one"]);
    let rotated = rotate(&between, &webhook).await;
    assert_eq!((between.reseal().await, between.reseal().await), (1, 0));
    let secrets = [text(&webhook["secret"]), text(&rotated["secret"])];
    assert!(with_keys(&database, &["two"]).signs_with(&receiver, &secrets).await);
}

#[sqlx::test(migrations = false)]
async fn a_webhook_whose_key_is_missing_is_told_nothing_until_it_is_back(database: PgPool) {
    start(&database).await;
    let (service, receiver) = (with_keys(&database, &["one"]), Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    service.placed_order().await;
    let without = with_keys(&database, &["two"]);
    without.deliver().await;
    let delivery = service.deliveries(&webhook).await.remove(0);
    let outcome = (&delivery["status"], &delivery["attempts"], text(&delivery["error"]));
    assert_eq!(outcome, (&json!("pending"), &json!(1), "its secret cannot be read at the moment"));
    assert_eq!((without.reseal().await, receiver.count()), (0, 0));
    service.wait().await;
    service.deliver().await;
    assert!(receiver.take().remove(0).is_signed_with(text(&webhook["secret"])));
}
