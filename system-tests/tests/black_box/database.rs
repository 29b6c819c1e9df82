//! The rows behind the answers, as a superuser sees them.

use service_kit::servers::Servers;
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::runtime;
use uuid::Uuid;

use crate::polling::eventually;

/// What must be so for the orders of one load, which are told from others by how their references begin.
pub struct Books {
    postgres: String,
    /// A condition on `o`, a row of `orders.orders`.
    of_this_load: String,
}

impl Books {
    pub fn new(postgres: &str, load: Uuid) -> Self {
        Self { postgres: postgres.to_owned(), of_this_load: format!("starts_with(o.reference, '{load}')") }
    }

    /// What was accepted is there, and once; so is what got through without an answer.
    #[track_caller]
    pub fn have_once(&self, accepted: &[Uuid]) {
        let (ids, ours) = (values(accepted), &self.of_this_load);
        self.have_no(
            "accepted order that is missing",
            &format!(
                "select from unnest({ids}) accepted (id) where not exists
                     (select from orders.orders o where o.id = accepted.id and {ours})"
            ),
        );
        self.have_no(
            "order that is there twice",
            &format!("select from orders.orders o where {ours} group by o.reference having count(*) > 1"),
        );
    }

    /// What a client was told to be paid is delivered.
    #[track_caller]
    pub fn have_delivered(&self, paid: &[Uuid]) {
        let ids = values(paid);
        self.have_no(
            "paid order that is not delivered",
            &format!(
                "select from unnest({ids}) paid (id) where not exists
                     (select from orders.orders o where o.id = paid.id and o.status = 'delivered')"
            ),
        );
    }

    /// Every order has its payment and knows its state, is charged once if it is paid and not at all if it is not, and
    /// delivered once and in time; and nothing is on its way or given up.
    #[track_caller]
    pub fn are_settled(&self) {
        let ours = &self.of_this_load;
        self.have_no(
            "order without its payment",
            &format!(
                "select from orders.orders o left join payments.payments p on p.order_id = o.id
                 where {ours} and (o.bill, o.currency, o.created_by)
                     is distinct from (p.bill, p.currency, p.created_by)"
            ),
        );
        self.have_no(
            "order that is not in step with its payment",
            &format!(
                "select from orders.orders o join payments.payments p on p.order_id = o.id
                 where {ours} and (o.status, o.payment_status, p.status) not in
                     (('created', 'pending', 'pending'), ('declined', 'declined', 'declined'),
                      ('delivered', 'paid', 'paid'))"
            ),
        );
        self.have_no(
            "order that is charged too often or too seldom",
            &format!(
                "select from orders.orders o left join sandbox.charges c on c.order_id = o.id and c.status = 'approved'
                 where {ours} group by o.id
                 having count(c) <> (o.status = 'delivered')::integer or sum(c.amount) <> o.bill"
            ),
        );
        self.have_no(
            "order that is delivered early, or twice",
            &format!(
                "select from orders.orders o join orders.order_events e on e.order_id = o.id and e.status = 'delivered'
                 where {ours} group by o.id having count(*) > 1 or min(e.at) < o.deliver_at"
            ),
        );
        for table in ["orders.outbox", "payments.outbox", "orders.parked", "payments.parked"] {
            self.have_no(&format!("row in {table}"), &format!("select from {table}"));
        }
    }

    /// Waits until a query finds nothing.
    #[track_caller]
    fn have_no(&self, what: &str, query: &str) {
        eventually(format_args!("there is no {what}"), || match self.count(query) {
            Ok(0) => Ok(()),
            Ok(count) => Err(format!("there are {count}")),
            Err(problem) => Err(format!("{problem:#}")),
        });
    }

    fn count(&self, query: &str) -> anyhow::Result<i64> {
        let query = AssertSqlSafe(format!("select count(*) from ({query}) found"));
        block_on(async {
            let mut connection = self.postgres.parse::<Servers>()?.connect().await?;
            Ok(sqlx::query_scalar(query).fetch_one(&mut connection).await?)
        })
    }
}

/// Runs statements as one transaction.
#[track_caller]
pub fn execute(postgres: &str, statements: &str) {
    let executed: anyhow::Result<_> = block_on(async {
        let mut connection = postgres.parse::<Servers>()?.connect().await?;
        Ok(sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await?)
    });
    executed.expect("the statements run");
}

/// The text that a query answers.
#[track_caller]
pub fn text(postgres: &str, query: &str) -> String {
    let answered = block_on(async {
        let mut connection = postgres.parse::<Servers>()?.connect().await?;
        Ok(sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connection).await?)
    });
    answered.expect("the query is answered")
}

/// The code with which the database refuses a login or what that tries; `None` if it does not.
#[track_caller]
pub fn refusal(postgres: &str, statements: &str) -> Option<String> {
    let tried = block_on(async {
        let mut connection = PgConnection::connect(postgres).await?;
        Ok(sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.map(drop)?)
    });
    let problem = tried.err()?.downcast::<sqlx::Error>().expect("a problem of the database");
    let code = problem.as_database_error().and_then(DatabaseError::code);
    Some(code.unwrap_or_else(|| panic!("{problem}")).into_owned())
}

/// The address of another database of the same server.
pub fn sibling(postgres: &str, database: &str) -> String {
    let (server, _) = postgres.rsplit_once('/').expect("the address names a database");
    format!("{server}/{database}")
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// As an array in SQL.
fn values(ids: &[Uuid]) -> String {
    let quoted: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
    format!("array[{}]::uuid[]", quoted.join(","))
}
