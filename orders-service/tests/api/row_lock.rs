//! A lock on the row of an order, by which a test decides who is first.
//!
//! Whoever changes an order has read it and decided before the statement that stores the change stops at the lock. Once
//! several wait there, all have decided on the same version; they go on in the order in which they came.

use std::time::Duration;

use shared_events::ids::OrderId;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

/// Held until it is let go.
pub struct RowLock {
    superuser: PgPool,
    connection: PoolConnection<Postgres>,
}

impl RowLock {
    pub async fn hold(superuser: &PgPool, id: OrderId) -> Self {
        let mut connection = superuser.acquire().await.expect("a connection");
        sqlx::raw_sql("begin").execute(&mut *connection).await.expect("a transaction begins");
        let statement = "select from orders.orders where id = $1 for update";
        let locked = sqlx::query(statement).bind(id).execute(&mut *connection).await.expect("the row is locked");
        assert_eq!(locked.rows_affected(), 1, "there is an order to lock");
        Self { superuser: superuser.clone(), connection }
    }

    /// Comes back once so many statements wait for a lock in this database.
    pub async fn is_waited_for_by(&self, statements: i64) {
        const WAITING: &str = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        let waiting = async {
            while sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&self.superuser).await.expect("a count") < statements
            {
                tokio::task::yield_now().await;
            }
        };
        let came_true = tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok();
        assert!(came_true, "fewer than {statements} statements wait for the row");
    }

    pub async fn let_go(mut self) {
        sqlx::raw_sql("rollback").execute(&mut *self.connection).await.expect("the transaction ends");
    }
}
