//! Webhooks: what is told to whom, and how often.

use axum::http::{Method, StatusCode};
use chrono::{DateTime, Utc};
use orders_service::backlog::Backlog;
use orders_service::webhooks::fan_out::fan_out;
use orders_service::webhooks::lease;
use serde_json::{Value, json};
use service_kit::testing::receiver::{Receiver, Reply};
use service_kit::testing::{ALICE, TOKEN};
use shared_events::events::ProcessedStatus;
use sqlx::PgPool;

use crate::helpers::processed;
use crate::webhook_service::{WEBHOOKS, start, text};

#[sqlx::test(migrations = false)]
async fn a_webhook_is_told_of_each_thing_that_happens_in_a_signed_message(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": format!("{}/hooks?a=b", receiver.url)})).await;
    let id = service.placed_order().await;
    let mut orders = vec![service.get_order(id).await];
    for (version, status) in [(3, ProcessedStatus::Declined), (5, ProcessedStatus::Paid)] {
        service.hear(vec![processed(id, version, status)]).await;
        orders.push(service.get_order(id).await);
    }
    orders.push(service.delete_order(id).await.expect(StatusCode::OK));
    service.hear(vec![processed(id, 7, ProcessedStatus::Refunded)]).await;
    orders.push(service.get_order(id).await);
    service.deliver().await;

    let received = receiver.take();
    let mut told: Vec<_> = received
        .iter()
        .map(|message| (message.json()["data"]["version"].as_i64(), message.json()["type"].clone()))
        .collect();
    told.sort_by_key(|(version, event)| (*version, event.to_string()));
    let expected = [
        (1, "order.created"),
        (2, "order.declined"),
        (2, "payment.declined"),
        (3, "order.confirmed"),
        (3, "payment.paid"),
        (4, "order.cancelled"),
        (5, "payment.refunded"),
    ];
    assert_eq!(told, expected.map(|(version, event)| (Some(version), json!(event))));
    for message in &received {
        let body = message.json();
        assert!(message.is_signed_with(text(&webhook["secret"])), "{message:?}");
        let order = orders.iter().find(|order| order["version"] == body["data"]["version"]).expect("that version");
        assert_eq!((&body["data"], &body["timestamp"], message.path.as_str()), (order, &order["updatedAt"], "/hooks"));
        assert_eq!(message.header("content-type"), "application/json");
    }
    let mut ids: Vec<_> = received.iter().map(|message| message.header("webhook-id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), expected.len());
    let deliveries = service.deliveries(&webhook).await;
    assert!(deliveries.len() == 7 && deliveries.iter().all(|delivery| delivery["status"] == "delivered"));
    assert!(service.as_it_is(&webhook).await["lastSuccessAt"].is_string());
}

#[sqlx::test(migrations = false)]
async fn a_webhook_is_told_of_what_its_owner_wants_to_know_and_of_nothing_else(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let all = json!({"url": format!("{}/all", receiver.url)});
    service.client.send(Method::POST, WEBHOOKS, ALICE, &all).await.expect(StatusCode::CREATED);
    let some = json!({"url": format!("{}/some", receiver.url), "eventTypes": ["payment.paid", "order.cancelled"]});
    service.webhook(some).await;
    let id = service.placed_order().await;
    service.hear(vec![processed(id, 3, ProcessedStatus::Paid)]).await;
    service.deliver().await;
    let received = receiver.take();
    assert_eq!(received.iter().map(|message| message.path.as_str()).collect::<Vec<_>>(), ["/some"]);
    assert_eq!(received[0].json()["type"], "payment.paid");
}

#[sqlx::test(migrations = false)]
async fn what_is_not_taken_is_sent_again_with_the_same_id_until_the_webhook_is_disabled(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    receiver.answers("/", Reply::Status(StatusCode::INTERNAL_SERVER_ERROR));
    service.placed_order().await;
    service.deliver().await;
    let delivery = service.deliveries(&webhook).await.remove(0);
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("pending"), &json!(1)));
    assert_eq!((&delivery["responseStatus"], &delivery["error"]), (&json!(500), &json!(null)));
    assert!(text(&delivery["nextAttemptAt"]) > text(&delivery["lastAttemptAt"]));
    // Nothing is sent before its time.
    service.deliver().await;
    assert_eq!(receiver.count(), 1);

    for _ in 1..10 {
        service.wait().await;
        service.deliver().await;
    }
    let received = receiver.take();
    assert_eq!(received.len(), 10);
    for message in &received {
        assert_eq!((message.header("webhook-id"), &message.body), (text(&delivery["messageId"]), &received[0].body));
        assert!(message.is_signed_with(text(&webhook["secret"])));
    }
    assert_eq!(service.deliveries(&webhook).await[0]["status"], "failed");
    let disabled = service.as_it_is(&webhook).await;
    assert_eq!(
        (&disabled["enabled"], text(&disabled["disabledReason"])),
        (&json!(false), "nothing could be delivered for three days")
    );

    // It hears nothing of what happens now, and is told again once it is enabled.
    service.placed_order().await;
    service.deliver().await;
    assert_eq!(receiver.count(), 0);
    receiver.answers("/", Reply::Status(StatusCode::OK));
    let path = format!("{WEBHOOKS}/{}", text(&webhook["id"]));
    let replay = format!("{path}/deliveries/{}/replay", text(&delivery["id"]));
    let refused = service.client.send(Method::POST, &replay, TOKEN, &Value::Null).await;
    refused.expect_problem(StatusCode::CONFLICT, "webhook_disabled");
    assert_eq!(service.post(&format!("{path}/enable")).await["enabled"], true);
    service.post(&replay).await;
    service.deliver().await;
    let replayed = receiver.take();
    assert_eq!(replayed.len(), 1);
    assert_eq!(replayed[0].header("webhook-id"), text(&delivery["messageId"]));
    let delivery = service.deliveries(&webhook).await.remove(0);
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("delivered"), &json!(1)));
}

#[sqlx::test(migrations = false)]
async fn a_receiver_that_is_gone_is_told_nothing_more(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    receiver.answers("/", Reply::Status(StatusCode::GONE));
    service.placed_order().await;
    service.deliver().await;
    service.placed_order().await;
    service.wait().await;
    service.deliver().await;
    assert_eq!(receiver.count(), 1);
    assert_eq!(service.as_it_is(&webhook).await["disabledReason"], "the receiver has answered 410 Gone");
}

#[sqlx::test(migrations = false)]
async fn both_secrets_are_good_for_a_while_after_a_rotation(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    let rotated = service.post(&format!("{WEBHOOKS}/{}/rotate-secret", text(&webhook["id"]))).await;
    let (old, new) = (text(&webhook["secret"]), text(&rotated["secret"]));
    assert_ne!(old, new);
    assert_eq!(service.as_it_is(&webhook).await.get("secret"), None, "it is shown only when it is new");
    service.placed_order().await;
    service.deliver().await;
    let both = receiver.take().remove(0);
    assert!(both.is_signed_with(old) && both.is_signed_with(new));

    let late = "update orders.webhooks set previous_secret_until = now()";
    sqlx::query(late).execute(&service.app.database).await.expect("time passes");
    service.placed_order().await;
    service.deliver().await;
    let one = receiver.take().remove(0);
    assert!(!one.is_signed_with(old) && one.is_signed_with(new));
}

#[sqlx::test(migrations = false)]
async fn what_a_dead_replica_has_sent_and_not_recorded_is_sent_again_with_the_same_id(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    service.webhook(json!({"url": receiver.url})).await;
    service.placed_order().await;
    service.fan_out().await;
    // It dies with the lease, after the receiver has taken the message.
    let database = &service.app.database;
    let leased = lease::take(database, 1).await.expect("the database answers");
    let due = lease::due(database, leased[0].id).await.expect("the database answers");
    // Nobody else sends meanwhile.
    service.deliver().await;
    assert_eq!((due.len(), receiver.count()), (1, 0));
    let expired = "update orders.webhooks set lease_until = now(), due_at = now()";
    sqlx::query(expired).execute(database).await.expect("time passes");
    service.deliver().await;
    assert_eq!(receiver.take()[0].header("webhook-id"), due[0].message_id);
}

#[sqlx::test(migrations = false)]
async fn several_replicas_make_each_change_into_one_delivery(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    let fanning: Vec<_> = (0..4)
        .map(|_| {
            let database = service.app.database.clone();
            tokio::spawn(async move {
                for _ in 0..30 {
                    fan_out(&database).await.expect("the database answers");
                }
            })
        })
        .collect();
    for _ in 0..12 {
        service.placed_order().await;
    }
    for replica in fanning {
        replica.await.expect("no panic");
    }
    service.deliver().await;
    let mut ids: Vec<_> =
        service.deliveries(&webhook).await.iter().map(|delivery| text(&delivery["messageId"]).to_owned()).collect();
    assert_eq!((ids.len(), receiver.count()), (12, 12));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 12);
}

#[sqlx::test(migrations = false)]
async fn an_owner_sees_how_each_of_the_latest_attempts_has_ended(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    let webhook = service.webhook(json!({"url": receiver.url})).await;
    service.placed_order().await;
    service.fan_out().await;
    let made = service.deliveries(&webhook).await.remove(0);
    assert_eq!(made["history"], json!([]));
    let replay = format!("{WEBHOOKS}/{}/deliveries/{}/replay", text(&webhook["id"]), text(&made["id"]));
    for reply in [Reply::Status(StatusCode::BAD_GATEWAY), Reply::Never, Reply::Status(StatusCode::OK)] {
        receiver.answers("/", reply);
        service.wait().await;
        service.deliver().await;
    }
    let attempts = service.attempts_of(&webhook).await;
    let ends: Vec<_> = attempts.iter().map(|attempt| (&attempt["responseStatus"], &attempt["error"])).collect();
    let no_answer = json!("no answer in time");
    assert_eq!(ends, [(&json!(502), &json!(null)), (&json!(null), &no_answer), (&json!(200), &json!(null))]);
    let began = |attempt: &Value| text(&attempt["at"]).parse::<DateTime<Utc>>().expect("a time");
    assert!(attempts[1]["milliseconds"].as_i64() >= Some(1000), "it was waited for as long as may be: {attempts:?}");
    assert!(attempts.windows(2).all(|two| began(&two[0]) < began(&two[1])), "{attempts:?}");

    // A replay begins to count anew, but the attempts before it are told; not for ever.
    for (replays, remembered) in [(1, 4), (16, 20), (1, 20)] {
        for _ in 0..replays {
            service.post(&replay).await;
            service.deliver().await;
        }
        let attempts = service.attempts_of(&webhook).await;
        assert_eq!((attempts.len(), &attempts[remembered - 1]["responseStatus"]), (remembered, &json!(200)));
    }
    assert_eq!(service.attempts_of(&webhook).await[0]["error"], no_answer, "the oldest is forgotten");
}

#[sqlx::test(migrations = false)]
async fn operators_see_how_attempts_end_who_is_given_up_and_what_nobody_sends(database: PgPool) {
    let (service, receiver) = (start(&database).await, Receiver::start().await);
    for (path, status) in [("taken", StatusCode::OK), ("failed", StatusCode::BAD_GATEWAY), ("gone", StatusCode::GONE)] {
        receiver.answers(&format!("/{path}"), Reply::Status(status));
        service.webhook(json!({"url": format!("{}/{path}", receiver.url)})).await;
    }
    service.webhook(json!({"url": "http://127.0.0.1:1"})).await;
    service.placed_order().await;
    service.fan_out().await;
    let late = "update orders.webhooks set due_at = now() - interval '1 hour'";
    sqlx::query(late).execute(&service.app.database).await.expect("time passes");
    let backlog = Backlog::read(&service.app.database).await.expect("the database answers");
    assert_eq!(backlog.webhooks_due, 4);
    assert!(backlog.webhooks_due_age_seconds >= 3600.0 && backlog.webhook_changes_age_seconds < 3600.0, "{backlog:?}");

    service.deliver().await;
    let early = "update orders.webhook_cursor set seen = '0' || substring(seen from '@.*')";
    sqlx::query(early).execute(&service.app.database).await.expect("nobody has made messages since");
    let backlog = Backlog::read(&service.app.database).await.expect("the database answers");
    assert_eq!((backlog.webhooks_due, backlog.webhooks_due_age_seconds), (0, 0.0));
    assert!(backlog.webhook_changes_age_seconds > 1e9, "{backlog:?}");
    let text = service.metrics.text(&[]).expect("a text");
    for line in [
        r#"webhook_request_duration_seconds_count{outcome="delivered"} 1"#,
        r#"webhook_request_duration_seconds_count{outcome="refused"} 2"#,
        r#"webhook_request_duration_seconds_count{outcome="no_answer"} 1"#,
        r#"webhooks_disabled_total{reason="gone"} 1"#,
        r#"webhooks_disabled_total{reason="failing"} 0"#,
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in
{text}"
        );
    }
}
