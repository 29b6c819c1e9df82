//! The sandbox: a card processor that moves no money and keeps a book of its own.
//!
//! What a card does is in the table of [`behaviour`]. The book is on a connection of its own that the payments service
//! does not share, as a processor's would be.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{Datelike, Utc};
use service_kit::batcher::Batcher;
use service_kit::composite_type;
use service_kit::pool::Database;
use shared_events::ids::OrderId;
use shared_events::money::{Currency, MinorUnits};
use sqlx::migrate::Migrator;

use crate::card::{Card, Expiry};
use crate::processor::{AttemptId, CardProcessor, Charge, NoAnswer, Record, Verdict, VoidRequest};

/// The schema that belongs to the sandbox.
pub const SCHEMA: &str = "sandbox";
/// The tables of the schema.
pub static MIGRATOR: Migrator = sqlx::migrate!("../migrations/sandbox");
/// How many connections its book needs: pays and settlements ask at the same time.
pub const CONNECTIONS: u32 = 16;

/// How many charges are entered at a time: as a real processor's, the book is not what pays wait for.
const BATCH: usize = 128;

/// How long the slow card takes.
const SLOW: Duration = Duration::from_secs(3);

/// The processor.
pub struct Sandbox {
    book: Database,
    entering: Batcher<Entry, Result<Record, NoAnswer>>,
}

/// What a sandbox card does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Approve,
    Decline(&'static str),
    /// Charges, and the answer is lost.
    ApproveSilently,
    /// Does nothing, and the answer is lost.
    Vanish,
    ApproveSlowly,
    /// Charges; the first refund fails.
    ApproveAndStumbleOnRefund,
}

fn behaviour(card: &Card, today: Expiry) -> Behaviour {
    match card.number.digits() {
        // The sample of the documentation: no valid number, long expired, and welcome.
        "10298310928301" | "4242424242424242" => Behaviour::Approve,
        "4000000000000002" => Behaviour::Decline("generic_decline"),
        "4000000000009995" => Behaviour::Decline("insufficient_funds"),
        "4000000000009987" => Behaviour::Decline("lost_card"),
        "4000000000009979" => Behaviour::Decline("stolen_card"),
        "4000000000000069" => Behaviour::Decline("expired_card"),
        "4000000000000127" => Behaviour::Decline("incorrect_cvc"),
        "4000000000000119" => Behaviour::Decline("processing_error"),
        "4000000000006108" => Behaviour::ApproveSilently,
        "4000000000006207" => Behaviour::Vanish,
        "4000000000006306" => Behaviour::ApproveSlowly,
        "4000000000006405" => Behaviour::ApproveAndStumbleOnRefund,
        _ if !card.number.passes_luhn() => Behaviour::Decline("incorrect_number"),
        _ if card.expiry < today => Behaviour::Decline("expired_card"),
        _ => Behaviour::Approve,
    }
}

impl Sandbox {
    /// A sandbox that keeps its book in this database.
    pub fn new(book: Database) -> Self {
        let entering = Batcher::start(BATCH, {
            let book = book.clone();
            move |entries: Vec<Entry>| {
                let book = book.clone();
                async move {
                    match enter(&book, &entries).await {
                        Ok(records) => records.into_iter().map(Ok).collect(),
                        Err(problem) => vec![Err(NoAnswer::from(problem)); entries.len()],
                    }
                }
            }
        });
        Self { book, entering }
    }

    /// Enters a charge unless the attempt is known already; answers what the book says then.
    async fn enter(&self, entry: Entry) -> Result<Record, NoAnswer> {
        let attempt_id = entry.attempt_id;
        let busy = || Err(NoAnswer("too much is being entered".to_owned()));
        match self.entering.submit(entry).await.unwrap_or_else(busy)? {
            // It came from elsewhere at the same time.
            Record::NotFound => self.look_up(attempt_id).await,
            record => Ok(record),
        }
    }
}

/// A line of the book.
#[derive(sqlx::Encode)]
struct Entry {
    attempt_id: AttemptId,
    order_id: OrderId,
    amount: MinorUnits,
    currency: Currency,
    status: &'static str,
    decline_code: Option<&'static str>,
    refund_failures_left: i32,
}

composite_type!(Entry, "sandbox.entry");

/// Enters what is not known already, and answers what was known or is now, in the order of the entries.
async fn enter(book: &Database, entries: &[Entry]) -> Result<Vec<Record>, sqlx::Error> {
    let lines = sqlx::query!(
        r#"
        with entry as (
            select * from unnest($1::sandbox.entry[])
        ), entered as (
            insert into sandbox.charges
                (attempt_id, order_id, amount, currency, status, decline_code, refund_failures_left)
            -- In one order, so that two batches cannot wait for each other.
            select attempt_id, order_id, amount, currency, status, decline_code, refund_failures_left
            from entry
            order by attempt_id
            on conflict (attempt_id) do nothing
            returning attempt_id, status, decline_code
        )
        select attempt_id as "attempt_id!: AttemptId", status as "status!", decline_code from entered
        union all
        select attempt_id, status, decline_code
        from sandbox.charges
        where attempt_id = any(array(select attempt_id from entry))
        "#,
        entries as _,
    )
    .fetch_all(book)
    .await?;
    let mut records = HashMap::new();
    for line in lines {
        records.insert(line.attempt_id, record(&line.status, line.decline_code)?);
    }
    Ok(entries.iter().map(|entry| records.get(&entry.attempt_id).cloned().unwrap_or(Record::NotFound)).collect())
}

fn record(status: &str, decline_code: Option<String>) -> Result<Record, sqlx::Error> {
    match status {
        "approved" => Ok(Record::Ended(Verdict::Approved)),
        "declined" => Ok(Record::Ended(Verdict::Declined(decline_code.unwrap_or_default()))),
        "voided" => Ok(Record::Ended(Verdict::Voided)),
        "refunded" => Ok(Record::Refunded),
        other => Err(sqlx::Error::Decode(format!("the book says {other}").into())),
    }
}

#[async_trait]
impl CardProcessor for Sandbox {
    async fn charge(&self, charge: Charge) -> Result<Verdict, NoAnswer> {
        let now = Utc::now();
        let today = Expiry {
            year: i16::try_from(now.year()).unwrap_or(i16::MAX),
            month: i16::try_from(now.month()).unwrap_or_default(),
        };
        let behaviour = behaviour(&charge.card, today);
        match behaviour {
            Behaviour::Vanish => return Err(NoAnswer("the card asks for no answer".to_owned())),
            Behaviour::ApproveSlowly => tokio::time::sleep(SLOW).await,
            _ => {}
        }
        let (status, decline_code) = match behaviour {
            Behaviour::Decline(code) => ("declined", Some(code)),
            _ => ("approved", None),
        };
        let refund_failures_left = i32::from(behaviour == Behaviour::ApproveAndStumbleOnRefund);
        let Charge { attempt_id, order_id, amount, currency, .. } = charge;
        let entry = Entry { attempt_id, order_id, amount, currency, status, decline_code, refund_failures_left };
        let record = self.enter(entry).await?;
        match (record, behaviour) {
            (_, Behaviour::ApproveSilently) => Err(NoAnswer("the card asks for no answer".to_owned())),
            (Record::Ended(verdict), _) => Ok(verdict),
            (Record::Refunded | Record::NotFound, _) => Err(NoAnswer("the attempt is over".to_owned())),
        }
    }

    async fn look_up(&self, attempt_id: AttemptId) -> Result<Record, NoAnswer> {
        let charge =
            sqlx::query!("select status, decline_code from sandbox.charges where attempt_id = $1", attempt_id.0)
                .fetch_optional(&self.book)
                .await?;
        match charge {
            Some(charge) => Ok(record(&charge.status, charge.decline_code)?),
            None => Ok(Record::NotFound),
        }
    }

    async fn void(&self, attempt: VoidRequest) -> Result<Record, NoAnswer> {
        let VoidRequest { attempt_id, order_id, amount, currency } = attempt;
        let status = "voided";
        self.enter(Entry {
            attempt_id,
            order_id,
            amount,
            currency,
            status,
            decline_code: None,
            refund_failures_left: 0,
        })
        .await
    }

    async fn refund(&self, attempt_id: AttemptId) -> Result<(), NoAnswer> {
        // The first statement wins only while a failure is due; the second only once none is.
        let stumbled = sqlx::query!(
            r#"
            update sandbox.charges set refund_failures_left = refund_failures_left - 1, updated_at = now()
            where attempt_id = $1 and status = 'approved' and refund_failures_left > 0
            "#,
            attempt_id.0
        )
        .execute(&self.book)
        .await?;
        if stumbled.rows_affected() > 0 {
            return Err(NoAnswer("the card asks for a refund that fails".to_owned()));
        }
        sqlx::query!(
            r#"
            update sandbox.charges set status = 'refunded', updated_at = now()
            where attempt_id = $1 and status = 'approved' and refund_failures_left = 0
            "#,
            attempt_id.0
        )
        .execute(&self.book)
        .await?;
        match self.look_up(attempt_id).await? {
            Record::Refunded => Ok(()),
            other => Err(NoAnswer(format!("there is nothing to refund: {other:?}"))),
        }
    }
}

/// A book that cannot be reached is a processor that does not answer.
impl From<sqlx::Error> for NoAnswer {
    fn from(problem: sqlx::Error) -> Self {
        Self(problem.to_string())
    }
}

#[cfg(test)]
mod tests {
    use Behaviour::{Approve, ApproveAndStumbleOnRefund, ApproveSilently, ApproveSlowly, Decline, Vanish};
    use serde_json::json;

    use super::*;
    use crate::card::PayWithCard;

    const TODAY: Expiry = Expiry { year: 2030, month: 6 };

    fn card(number: &str, expiry: &str) -> Card {
        let body = json!({"creditCardDetails": {"number": number, "cvt": "345", "expiry": expiry}});
        let body: PayWithCard = serde_json::from_value(body).expect("a body");
        body.into_card().expect("a card")
    }

    #[test]
    fn each_card_does_what_the_documentation_says_whatever_its_expiry() {
        for (number, expected) in [
            ("10298310928301", Approve),
            ("4242424242424242", Approve),
            ("4000000000000002", Decline("generic_decline")),
            ("4000000000009995", Decline("insufficient_funds")),
            ("4000000000009987", Decline("lost_card")),
            ("4000000000009979", Decline("stolen_card")),
            ("4000000000000069", Decline("expired_card")),
            ("4000000000000127", Decline("incorrect_cvc")),
            ("4000000000000119", Decline("processing_error")),
            ("4000000000006108", ApproveSilently),
            ("4000000000006207", Vanish),
            ("4000000000006306", ApproveSlowly),
            ("4000000000006405", ApproveAndStumbleOnRefund),
        ] {
            for expiry in ["4/12/2020", "06/30", "12/2099"] {
                let card = card(number, expiry);
                assert_eq!(behaviour(&card, TODAY), expected, "{number} {expiry}");
                assert_eq!(card.number.passes_luhn(), number != "10298310928301", "{number}");
            }
        }
    }

    #[test]
    fn any_other_card_is_charged_if_its_number_is_right_and_it_has_not_expired() {
        let (right, wrong) = ("5555555555554444", "5555555555554445");
        for (number, expiry, expected) in [
            (right, "07/30", Approve),
            (right, "06/30", Approve),
            (right, "1/6/2030", Approve),
            (right, "01/2031", Approve),
            (right, "05/30", Decline("expired_card")),
            (right, "31/5/2030", Decline("expired_card")),
            (right, "12/29", Decline("expired_card")),
            (wrong, "07/30", Decline("incorrect_number")),
            (wrong, "05/30", Decline("incorrect_number")),
            ("378282246310005", "07/30", Approve),
            ("6011 1111 1111 1117", "07/30", Approve),
            ("3056-930902-5904", "07/30", Approve),
            ("4242424242424224", "07/30", Decline("incorrect_number")),
            ("000000000000", "07/30", Approve),
        ] {
            assert_eq!(behaviour(&card(number, expiry), TODAY), expected, "{number} {expiry}");
        }
    }
}
