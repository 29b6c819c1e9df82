//! Both real services on one real database, without a broker: what they publish is taken from their outboxes, and a
//! script decides when which consumer gets it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::http::Method;
use chrono::{TimeDelta, Utc};
use orders_service::{payment_events, timers};
use payments_service::sandbox::Sandbox;
use payments_service::{order_events, sandbox, settlement};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use service_kit::broker::Broker;
use service_kit::metrics::Metrics;
use service_kit::outbox;
use service_kit::pool::Database;
use service_kit::testing::{self, Client, TOKEN};

use shared_events::envelope::{self, Envelope, SpecVersion};
use shared_events::ids::OrderId;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use uuid::{NoContext, Timestamp, Uuid};

use crate::processor::{Processor, Waiting};
use crate::settings;
use crate::words::{Act, Answer, Event, Hold, Letter, Line};

/// One transaction, which nobody gets in between and no guard of the ledger hinders. Faster than `truncate` when there
/// is little.
const EMPTY_ALL_TABLES: &str = "
    set local session_replication_role = replica;
    lock table orders.orders, payments.payments in exclusive mode;
    delete from orders.order_events; delete from orders.orders; delete from orders.outbox; delete from orders.parked;
    delete from payments.attempts; delete from payments.payments; delete from payments.ledger;
    delete from payments.outbox; delete from payments.parked;
    delete from orders.idempotency_keys; delete from payments.idempotency_keys;
    delete from sandbox.charges";

/// The system under test.
pub struct System {
    orders: orders_service::App,
    payments: payments_service::App,
    orders_client: Client,
    payments_client: Client,
    processor: Arc<Processor>,
    book: Database,
    /// A superuser's view of the database.
    pub database: PgPool,
    /// Pays that the processor keeps waiting, by their tickets.
    held: Mutex<HashMap<u32, HeldPay>>,
}

struct HeldPay {
    waiting: Waiting,
    answer: JoinHandle<Answer>,
}

impl System {
    /// Both services on an empty database.
    pub async fn start(superuser: PgPool) -> Arc<Self> {
        testing::bootstrap(&superuser).await;
        be_quick(&superuser).await;
        let orders_url = testing::migrate(&superuser, orders_service::SCHEMA, &orders_service::MIGRATOR).await;
        let payments_url = testing::migrate(&superuser, payments_service::SCHEMA, &payments_service::MIGRATOR).await;
        let book_url = testing::migrate(&superuser, sandbox::SCHEMA, &sandbox::MIGRATOR).await;

        let config = settings::orders(&orders_url);
        let pool = Database::connect_lazy(&orders_url, 4).expect("a pool");
        let broker = Broker::new(&config.settings, "orders-service", orders_service::EVENTS).expect("a broker");
        let (outbox, _relay) = outbox::open(pool.clone(), broker, orders_service::SCHEMA, orders_service::EVENTS);
        let orders = orders_service::App::new(pool, outbox, &Metrics::default(), &config).expect("sound settings");

        let config = settings::payments(&payments_url, &book_url);
        let pool = Database::connect_lazy(&payments_url, 4).expect("a pool");
        let broker = Broker::new(&config.settings, "payments-service", payments_service::EVENTS).expect("a broker");
        let (outbox, _relay) = outbox::open(pool.clone(), broker, payments_service::SCHEMA, payments_service::EVENTS);
        let book = Database::connect_lazy(&book_url, sandbox::CONNECTIONS).expect("a pool");
        let processor = Arc::new(Processor::new(Sandbox::new(book.clone())));
        let payments = payments_service::App::new(pool, outbox, processor.clone(), &Metrics::default(), &config)
            .expect("sound settings");

        Arc::new(Self {
            orders_client: Client::new(orders_service::http::routes(orders.clone())),
            payments_client: Client::new(payments_service::http::routes(payments.clone())),
            orders,
            payments,
            processor,
            book,
            database: superuser,
            held: Mutex::default(),
        })
    }

    /// Forgets everything: the services die where they are, and the tables are emptied.
    pub async fn reset(&self) {
        let dead: Vec<HeldPay> = self.held.lock().expect("nobody panics here").drain().map(|(_, pay)| pay).collect();
        for HeldPay { waiting, answer } in dead {
            drop(waiting);
            answer.await.expect("no panic");
        }
        self.processor.hold_none();
        self.processor.set_line(Line::Good);
        sqlx::raw_sql(EMPTY_ALL_TABLES).execute(&self.database).await.expect("the tables are emptied");
    }

    /// Leaves the database, so that it can be dropped.
    pub async fn leave(&self) {
        for login in [&self.orders.database, &self.payments.database, &self.book] {
            login.close();
        }
        self.database.close().await;
    }

    /// Places an order that becomes an hour old at once, so that nobody waits for its payment.
    pub async fn place_order(&self, bill: i64) -> Result<OrderId, String> {
        let answer = self.send(Method::POST, "/api/orders", &json!({"bill": bill})).await;
        if answer.status != 201 {
            return Err(format!("an order is not placed: {answer:?}"));
        }
        let placed: Uuid = answer.body["data"]["id"].as_str().expect("an id").parse().expect("a UUID");
        let placed_at = Utc::now() - TimeDelta::hours(1);
        let old = Uuid::new_v7(Timestamp::from_unix(NoContext, placed_at.timestamp().cast_unsigned(), 0));
        let statement = "
            with orders as (update orders.orders set id = $2 where id = $1)
            update orders.outbox set order_id = $2, data = jsonb_set(data, '{orderId}', to_jsonb($2)) where order_id = $1";
        sqlx::query(statement).bind(placed).bind(old).execute(&self.database).await.expect("the order becomes old");
        Ok(OrderId(old))
    }

    /// Does something to an order, to its end.
    pub async fn perform(self: Arc<Self>, id: OrderId, act: Act) -> Answer {
        match act {
            Act::ReadOrder => answer(&self.send(Method::GET, &format!("/api/orders/{id}"), &Value::Null).await),
            Act::Cancel => answer(&self.send(Method::DELETE, &format!("/api/orders/{id}"), &Value::Null).await),
            Act::ReadPayment => answer(&self.send(Method::GET, &format!("/api/payments/{id}"), &Value::Null).await),
            Act::Pay(card, None) => self.pay(id, card.number()).await,
            Act::Pay(card, Some(hold)) => self.pay_and_wait(id, card.number(), hold).await,
            Act::LetGo(ticket) => self.let_go(ticket).await,
            Act::Hear(letters) => self.hear(letters).await,
            Act::Settle(line) => self.settle(id, line).await,
            Act::Expire => {
                self.execute("update orders.orders set expires_at = now() where id = $1", id).await;
                timers::expire_due(&self.orders).await.expect("the database answers");
                Answer::Nothing
            }
            Act::Deliver => {
                let statement = "update orders.orders set deliver_at = now() where id = $1 and status = 'confirmed'";
                self.execute(statement, id).await;
                timers::deliver_due(&self.orders).await.expect("the database answers");
                Answer::Nothing
            }
        }
    }

    async fn pay(&self, id: OrderId, number: &str) -> Answer {
        let body = json!({"creditCardDetails": {"number": number, "cvt": "345", "expiry": "11/2099"}});
        answer(&self.send(Method::POST, &format!("/api/payments/pay/{id}"), &body).await)
    }

    /// Pays until the processor keeps the charge waiting, or to the end if it comes to no charge.
    async fn pay_and_wait(self: Arc<Self>, id: OrderId, number: &'static str, hold: Hold) -> Answer {
        let arrival = self.processor.hold_next(hold.place);
        let system = Arc::clone(&self);
        let mut answer = tokio::spawn(async move { system.pay(id, number).await });
        tokio::select! {
            waiting = arrival => {
                let waiting = waiting.expect("a charge that arrives waits");
                self.held.lock().expect("nobody panics here").insert(hold.ticket, HeldPay { waiting, answer });
                Answer::Waits
            }
            answer = &mut answer => {
                self.processor.hold_none();
                answer.expect("no panic")
            }
        }
    }

    async fn let_go(&self, ticket: u32) -> Answer {
        let pay = self.held.lock().expect("nobody panics here").remove(&ticket).expect("only held pays are let go");
        pay.waiting.send(()).expect("the charge waits");
        pay.answer.await.expect("no panic")
    }

    /// Gives the consumers these events in this order; neighbours of one kind are a batch.
    pub async fn hear(&self, letters: Vec<Letter>) -> Answer {
        for batch in letters.chunk_by(|one, next| one.name == next.name) {
            let refused = match batch[0].event {
                Event::Create => order_events::on_payment_create(self.payments.clone(), envelopes(batch)).await,
                Event::Cancel(_) => order_events::on_payment_cancel(self.payments.clone(), envelopes(batch)).await,
                Event::Processed(_) => {
                    payment_events::on_payment_processed(self.orders.clone(), envelopes(batch)).await
                }
            };
            if let Some(impossible) = refused.expect("the database answers").pop() {
                return Answer::Problem(0, impossible.reason, None);
            }
        }
        Answer::Nothing
    }

    /// Lets the settlement look at this order's payment and at no other.
    async fn settle(&self, id: OrderId, line: Line) -> Answer {
        for make_due in [
            "update payments.attempts
             set settle_at = case when order_id = $1 then now() else now() + interval '1 hour' end
             where settle_at is not null",
            "update payments.payments
             set settle_at = case when order_id = $1 then now() else now() + interval '1 hour' end
             where settle_at is not null",
        ] {
            self.execute(make_due, id).await;
        }
        self.processor.set_line(line);
        settlement::settle_due(&self.payments).await.expect("the database answers");
        self.processor.set_line(Line::Good);
        Answer::Nothing
    }

    /// Makes time pass, behind the services' backs.
    async fn execute(&self, statement: &'static str, id: OrderId) {
        sqlx::query(statement).bind(id.0).execute(&self.database).await.expect("the statement runs");
    }

    /// What the owner reads in the list at this path.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let answer = self.send(Method::GET, path, &Value::Null).await;
        answer.body["data"].as_array().expect("a list").clone()
    }

    /// Sends a request to the service that the path belongs to.
    async fn send(&self, method: Method, path: &str, body: &Value) -> testing::Answer {
        let client = if path.starts_with("/api/orders") { &self.orders_client } else { &self.payments_client };
        client.send(method, path, TOKEN, body).await
    }
}

/// Nothing is cut off here, so no commit need wait for the disk.
async fn be_quick(superuser: &PgPool) {
    let statement = "do $$ begin
        execute format('alter database %I set synchronous_commit = off', current_database());
    end $$";
    sqlx::raw_sql(statement).execute(superuser).await.expect("the setting changes");
}

fn envelopes<Data: DeserializeOwned>(letters: &[Letter]) -> Vec<Envelope<Data>> {
    let envelope = |letter: &Letter| Envelope {
        specversion: SpecVersion::V1,
        id: letter.id,
        source: "/model".to_owned(),
        event: letter.name.clone(),
        subject: letter.order_id,
        time: Utc::now(),
        datacontenttype: "application/json".to_owned(),
        dataschema: envelope::data_schema(&letter.name),
        traceparent: None,
        data: read(&letter.data),
    };
    letters.iter().map(envelope).collect()
}

/// What the model has words for, of an answer to a request.
fn answer(answer: &testing::Answer) -> Answer {
    let status = answer.status.as_u16();
    let data = &answer.body["data"];
    if data.is_null() {
        let text = |field: &str| answer.body[field].as_str().map(str::to_owned);
        return Answer::Problem(status, text("code").unwrap_or_default(), text("declineCode"));
    }
    if data["orderId"].is_null() { Answer::Order(status, read(data)) } else { Answer::Payment(status, read(data)) }
}

/// A part of the services' JSON.
pub fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("JSON as the API has it")
}
