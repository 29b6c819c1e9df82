//! A lock in the database, at which a test stops the services between two statements.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::polling::eventually;
use crate::stack::Stack;
use crate::storage::waiting;

/// Held until it is let go.
pub struct TableLock {
    runtime: Runtime,
    holding: PgConnection,
    /// Looks on from outside the transaction, in which nothing would ever seem to change.
    watching: PgConnection,
}

/// What becomes of the statements that wait for the lock, whose client has died.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// They arrived, so they are carried out, although nobody hears of it.
    Finished,
    /// They never arrived.
    Lost,
}

impl TableLock {
    /// Nothing is written into the card processor's book.
    pub fn of_the_processor() -> Self {
        Self::hold("lock table sandbox.charges in exclusive mode")
    }

    /// Nothing is changed in the charge of the order.
    pub fn of_the_charge(order: Uuid) -> Self {
        Self::hold(&format!("select from sandbox.charges where order_id = '{order}' for update"))
    }

    /// Nothing is recorded of the order's payment.
    pub fn of_the_payment(order: Uuid) -> Self {
        Self::hold(&format!("select from payments.payments where order_id = '{order}' for update"))
    }

    fn hold(statement: &str) -> Self {
        let runtime = waiting();
        let (holding, watching) = runtime.block_on(async {
            let address = Stack::now().postgres;
            let mut holding = PgConnection::connect(&address).await.expect("the database answers");
            let statement = AssertSqlSafe(format!("begin; {statement}"));
            sqlx::raw_sql(statement).execute(&mut holding).await.expect("the lock is taken");
            (holding, PgConnection::connect(&address).await.expect("the database answers"))
        });
        Self { runtime, holding, watching }
    }

    /// Waits until a statement waits.
    #[track_caller]
    pub fn is_waited_for(&mut self) {
        const WAITING: &str = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
        eventually("a statement waits for the lock", || {
            let waiting = sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&mut self.watching);
            match self.runtime.block_on(waiting) {
                Ok(1) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    pub fn let_go(mut self, fate: Fate) {
        let end = match fate {
            Fate::Finished => "rollback",
            Fate::Lost => {
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where wait_event_type = 'Lock'; rollback"
            }
        };
        self.runtime.block_on(sqlx::raw_sql(end).execute(&mut self.holding)).expect("the lock is let go");
    }
}
