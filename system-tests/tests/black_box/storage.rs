//! All that the running system keeps: its files, the rows of its database, the messages of its broker.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::runtime::{self, Runtime};

use crate::stack::{self, Stack};

/// Told of everything that is kept: where, and its bytes. A place that keeps nothing is told of once, too.
pub type Reader<'a> = &'a mut dyn FnMut(&str, &[u8]);

/// Every file below the stack's folder, logs among them, and the files of PostgreSQL if they are elsewhere.
pub fn read_files(tell: Reader) {
    let dir = stack::dir();
    let elsewhere = fs::read_to_string(dir.join("postgres-data-is-in")).ok().map(PathBuf::from);
    for folder in [dir].iter().chain(&elsewhere) {
        read_folder(folder, tell);
    }
}

fn read_folder(folder: &Path, tell: Reader) {
    for entry in present(fs::read_dir(folder), folder).into_iter().flatten() {
        let Some(entry) = present(entry, folder) else { continue };
        let path = entry.path();
        let kind = present(entry.file_type(), &path);
        if kind.is_some_and(|kind| kind.is_dir()) {
            read_folder(&path, tell);
        } else if kind.is_some_and(|kind| kind.is_file())
            && let Some(bytes) = present(fs::read(&path), &path)
        {
            tell(&path.display().to_string(), &bytes);
        }
    }
}

/// A running system makes and removes files all the time; any other reason not to read one is a failure.
fn present<T>(read: std::io::Result<T>, path: &Path) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(problem) if problem.kind() == ErrorKind::NotFound => None,
        Err(problem) => panic!("{} cannot be read: {problem}", path.display()),
    }
}

/// Every row of every table that is not PostgreSQL's own, as text; columns of bytes both as they are shown and as the
/// text that they hold.
pub fn read_rows(tell: Reader) {
    const TABLES: &str = "
        select format('%I.%I', t.table_schema, t.table_name),
            format('select concat_ws('' '', t::text%s) from %I.%I t', (
                select string_agg(format(', encode(t.%I, ''escape'')', c.column_name), '')
                from information_schema.columns c
                where (c.table_schema, c.table_name) = (t.table_schema, t.table_name) and c.data_type = 'bytea'
            ), t.table_schema, t.table_name)
        from information_schema.tables t
        where t.table_type = 'BASE TABLE' and t.table_schema not in ('pg_catalog', 'information_schema')
        order by 1";
    let tables: Vec<(String, Vec<String>)> = waiting().block_on(async {
        let mut database = PgConnection::connect(&Stack::now().postgres).await.expect("the database answers");
        let tables: Vec<(String, String)> =
            sqlx::query_as(TABLES).fetch_all(&mut database).await.expect("the tables are listed");
        let mut read = Vec::new();
        for (table, rows) in tables {
            let rows = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut database).await;
            read.push((table, rows.expect("a table is read")));
        }
        read
    });
    for (table, rows) in &tables {
        tell(table, b"");
        for row in rows {
            tell(table, row.as_bytes());
        }
    }
}

/// What a query for one value finds.
pub fn read_value(query: &'static str) -> Result<Value, sqlx::Error> {
    waiting().block_on(async {
        let mut database = PgConnection::connect(&Stack::now().postgres).await?;
        sqlx::query_scalar(query).fetch_one(&mut database).await
    })
}

/// Writes everything to the files that PostgreSQL has only in memory so far.
pub fn flush_database() {
    waiting().block_on(async {
        let mut database = PgConnection::connect(&Stack::now().postgres).await.expect("the database answers");
        sqlx::raw_sql("checkpoint").execute(&mut database).await.expect("a checkpoint is made");
    });
}

/// Runs what has to be waited for.
pub fn waiting() -> Runtime {
    runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
