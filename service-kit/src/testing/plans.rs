//! How PostgreSQL would carry out every statement of a service, seen on one of the service's own connections.
//!
//! All statements are prepared there as the service prepares them, and the server is asked for the plan that it keeps for
//! any parameters. Nobody can forget to have a new statement looked at: those that the compiler checks are in `.sqlx`, the
//! few others are counted in the source.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection, PgExecutor, PgPool, Row, SqlSafeStr};
use uuid::Uuid;

use crate::outbox::Table;
use crate::parked::{self, Parked};
use crate::pool::Database;
use crate::stored::Stored;
use crate::story::Story;
use crate::{idempotency, testing};

const RELEASED: &str = "migrations/released.json";
/// Rows pass through these as they come, so that a limit above them holds below them; or nearly so, in the case of rows that
/// are sorted already but for those of one moment.
const PASS_ON: [&str; 7] =
    ["Append", "Incremental Sort", "Limit", "LockRows", "Merge Append", "Result", "Subquery Scan"];
/// These find no rows of their own: what they are given was found below them.
const TAKE: [&str; 2] = ["ModifyTable", "Bitmap Heap Scan"];

/// The exceptions among the statements that the kit makes for each service's schema.
pub const OF_THE_KIT: [Exception; 2] = [
    Exception {
        statement: "select exists (select from",
        read: "using outbox_pkey",
        why: "it ends at the first event that is due, and if none is, the outbox holds only what has no receipt yet, and \
              entries of what was settled since the last vacuum. An index by time would be paid for by every order",
    },
    Exception {
        statement: "next_attempt_at <= now() and event = any($1)",
        read: "using outbox_pkey",
        why: "it ends at the limit, and what it passes over has been sent within the last seconds, or waits for a queue \
              that is crowded",
    },
];

/// The statements of one schema, prepared on a single connection.
pub struct Statements {
    database: Database,
    schema: &'static str,
}

/// A part of a plan that finds rows of a table.
#[derive(Debug)]
pub struct Read {
    /// How, and by which index: `Index Scan using orders_pkey`.
    pub how: String,
    /// Whether it looks them up by an index or ends at a limit, so that it costs the same however many others there are.
    pub is_flat: bool,
    /// The whole statement.
    pub statement: String,
}

/// A read that is known to cost more the more rows there are.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// A part of the statement.
    pub statement: &'static str,
    /// What is read: the end of [`Read::how`].
    pub read: &'static str,
    /// Why it may.
    pub why: &'static str,
}

impl Statements {
    /// Those of `schema` that the compiler has checked. The URL is that of the service.
    pub async fn checked(url: &str, schema: &'static str) -> Self {
        Self::prepare(url, schema, checked_statements()).await
    }

    /// Those that the services of the last release send, which go on while the tables are already new.
    pub async fn released(url: &str, schema: &'static str) -> Self {
        let statements = fs::read(path(RELEASED)).expect("`cargo xtask prepare --release` has written them");
        Self::prepare(url, schema, serde_json::from_slice(&statements).expect("a list of statements")).await
    }

    async fn prepare(url: &str, schema: &'static str, statements: Vec<String>) -> Self {
        // What is prepared is known to a single connection.
        let database = Database::connect_lazy(url, 1).expect("a pool");
        for statement in statements.into_iter().filter(|statement| names(statement, schema)) {
            (&database).prepare(AssertSqlSafe(statement).into_sql_str()).await.expect("the statement can be prepared");
        }
        Self { database, schema }
    }

    /// And those that the kit makes for each service's schema, of which there must be nothing stored yet.
    pub async fn with_the_kits(self) -> Self {
        let before = self.prepared().await.len();
        self.execute_the_kits().await.expect("the kit's statements run");
        assert_eq!(
            self.prepared().await.len() - before,
            statements_made_at_run_time(),
            "every statement that is made at run time is executed in {}, to have its plan looked at",
            file!()
        );
        self
    }

    async fn execute_the_kits(&self) -> Result<(), sqlx::Error> {
        let Self { database, schema } = self;
        let table = Table { database: database.clone(), schema };
        table.has_due().await?;
        table.claim(&["an-event"]).await?;
        table.release(&[]).await?;
        table.forget(&[]).await?;
        table.list(Uuid::nil(), 1).await?;
        table.make_due().await?;
        let story = Story { row: None, entries: Vec::new() };
        story.with_messages(database, schema, Uuid::nil()).await?;
        let (queue, reason, replay_of) = (String::new(), String::new(), Some(0));
        let parked = Parked { queue, message_id: None, body: Vec::new(), reason, replay_of };
        parked::insert(database, schema, &parked).await?;
        parked::list(database, schema, 0, 1).await?;
        parked::find(database, schema, 0).await?;
        parked::discard(database, schema, 0).await?;
        parked::forget(database, schema, &[]).await?;
        idempotency::forget_older_than(database, schema, Duration::from_hours(1)).await?;
        Stored::read(database, schema).await.map(drop)
    }

    /// All reads of all plans, as the tables are filled now: of every partition, since it is not known which one will be
    /// needed. Fails if the login may not carry one of them out.
    pub async fn reads(&self) -> Vec<Read> {
        sqlx::raw_sql("set enable_partition_pruning = off").execute(&self.database).await.expect("a setting");
        let first_columns = first_columns(&self.database, &[self.schema]).await;
        let mut reads = Vec::new();
        for (name, statement, nulls) in self.prepared().await {
            let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
            let explain = AssertSqlSafe(format!("explain (format json) execute {name}{arguments}"));
            let plan: Value = match sqlx::raw_sql(explain).fetch_one(&self.database).await {
                Ok(row) => row.get(0),
                Err(problem) => panic!("{problem}, of {statement}"),
            };
            reads.extend(reads_of_plan(&plan, &statement, &first_columns));
        }
        reads
    }

    /// What the only statement that has this part reads of the orders' tables, for these arguments.
    pub async fn reads_for(&self, part: &str, arguments: &str) -> Vec<String> {
        sqlx::raw_sql("set enable_partition_pruning = on").execute(&self.database).await.expect("a setting");
        let all = self.prepared().await;
        let found: Vec<_> = all.iter().filter(|(_, statement, _)| statement.contains(part)).collect();
        let [(name, statement, _)] = found[..] else { panic!("{part} is in {} statements", found.len()) };
        let explain = AssertSqlSafe(format!("explain (format json) execute {name}({arguments})"));
        let plan: Value = sqlx::raw_sql(explain).fetch_one(&self.database).await.expect("a plan").get(0);
        let reads = reads_of_plan(&plan, statement, &first_columns(&self.database, &[self.schema]).await);
        reads.into_iter().map(|read| read.how).collect()
    }

    /// The name, the text and a list of nulls for the parameters of all that the connection has prepared for the schema.
    async fn prepared(&self) -> Vec<(String, String, String)> {
        let all = "select name, statement, array_to_string(array_fill('null'::text, array[cardinality(parameter_types)]), ', ')
             from pg_prepared_statements order by name";
        let all: Vec<(String, String, String)> =
            sqlx::query_as(all).fetch_all(&self.database).await.expect("the connection knows");
        all.into_iter().filter(|(_, statement, _)| names(statement, self.schema)).collect()
    }
}

/// Fills the tables by a statement that reads `n`: so many numbers and ids of orders, which were placed in the last `months`.
pub async fn fill(superuser: &PgPool, statement: &'static str, rows: i32, months: i32) {
    // The ids of orders tell their time.
    let numbers = "create temporary table n as
         select n, overlay(md5(n::text) placing lpad(
             to_hex((extract(epoch from now() - n * make_interval(days => 31 * $2) / $1) * 1000)::bigint), 12, '0'
         ) from 1 for 12)::uuid as id
         from generate_series(1, $1) as n";
    // Which ends with this connection.
    let mut aside = superuser.acquire().await.expect("a connection").detach();
    sqlx::query(numbers).bind(rows).bind(months).execute(&mut aside).await.expect("numbers");
    sqlx::raw_sql(statement).execute(&mut aside).await.expect("the tables are filled");
}

/// Gathers statistics as PostgreSQL does by itself, now and then: of tables in which there is something, not of partitioned
/// ones, and from as many rows as the database says to those who connect.
pub async fn analyze(superuser: &PgPool) {
    let analyze = "do $$ declare filled regclass; begin
         for filled in select oid from pg_class where relkind = 'r' and relnamespace::regnamespace::text = any($1)
             and pg_relation_size(oid) > 0
         loop execute format('analyze %s', filled); end loop; end $$";
    let schemas = format!("array['{}']", testing::SCHEMAS.join("', '"));
    let analyze = AssertSqlSafe(analyze.replace("$1", &schemas));
    let mut autovacuum = superuser.connect_options().connect().await.expect("a connection");
    sqlx::raw_sql(analyze).execute(&mut autovacuum).await.expect("the planner knows how the tables are filled");
}

/// The reads of a statement without parameters, as this connection carries it out.
pub async fn reads_of(connection: &mut PgConnection, statement: &str) -> Vec<Read> {
    let explain = AssertSqlSafe(format!("explain (format json) {statement}"));
    let plan = sqlx::raw_sql(explain).fetch_one(&mut *connection).await.expect("the statement can be planned").get(0);
    reads_of_plan(&plan, statement, &first_columns(connection, &testing::SCHEMAS).await)
}

/// What each index of these schemas is sorted by first. Tables of the same name have the same indexes.
async fn first_columns(database: impl PgExecutor<'_>, schemas: &[&str]) -> HashMap<String, String> {
    let columns = "select relname::text, pg_get_indexdef(indexrelid, 1, true) from pg_index
         join pg_class on pg_class.oid = indexrelid where relnamespace::regnamespace::text = any($1)";
    let columns: Vec<_> = sqlx::query_as(columns).bind(schemas).fetch_all(database).await.expect("rows");
    columns.into_iter().collect()
}

fn reads_of_plan(plan: &Value, statement: &str, first_columns: &HashMap<String, String>) -> Vec<Read> {
    let mut found = Vec::new();
    find_reads(&plan[0]["Plan"], Extent::Whole, first_columns, &mut found);
    found.into_iter().map(|(how, is_flat)| Read { how, is_flat, statement: statement.to_owned() }).collect()
}

/// Prints all reads. Fails with those that are neither flat nor an exception, and with the exceptions that nothing needs.
#[track_caller]
pub fn expect_flat_but_for(exceptions: &[Exception], reads: &[Read]) {
    let mut unneeded = exceptions.to_vec();
    for Read { how, is_flat, statement } in reads {
        let line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        println!("{how:60} {line:.120}");
        let explains = |exception: &Exception| statement.contains(exception.statement) && how.ends_with(exception.read);
        let is_known = exceptions.iter().any(explains);
        assert!(
            *is_flat || is_known,
            "{how} costs more the more rows there are. It is part of the plan of:\n{statement}"
        );
        unneeded.retain(|exception| !explains(exception));
    }
    assert!(unneeded.is_empty(), "no plan has these reads any more, the exceptions can go: {unneeded:#?}");
}

/// How many of the rows below it a node is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Limited,
    /// All, of which most are not wanted.
    Sorted,
    Whole,
}

/// Adds how rows are found at this node and below it, and whether that is flat.
fn find_reads(node: &Value, extent: Extent, first_columns: &HashMap<String, String>, found: &mut Vec<(String, bool)>) {
    let text = |property: &str| node[property].as_str().unwrap_or_default();
    let kind = text("Node Type");
    if let Some(index) = node["Index Name"].as_str() {
        let condition = text("Index Cond");
        let compares = |operator: &str| {
            let comparison = format!("{} {operator}", first_columns[index]);
            condition.contains(&format!("({comparison}")) || condition.contains(&format!(".{comparison}"))
        };
        let is_lookup = compares("= ") && extent != Extent::Sorted;
        let is_walk = extent == Extent::Limited && (condition.is_empty() || compares("")) && node["Filter"].is_null();
        found.push((format!("{kind} using {index}"), is_lookup || is_walk));
    } else if let Some(table) = node["Relation Name"].as_str()
        && !TAKE.contains(&kind)
    {
        found.push((format!("{kind} on {table}"), false));
    }
    let passed_on = match extent {
        _ if kind == "Limit" => Extent::Limited,
        Extent::Limited if kind == "Sort" => Extent::Sorted,
        Extent::Limited if !PASS_ON.contains(&kind) => Extent::Whole,
        as_asked => as_asked,
    };
    for below in node["Plans"].as_array().into_iter().flatten() {
        let is_outer = ["Outer", "Subquery", "Member"].iter().any(|outer| below["Parent Relationship"] == *outer);
        let extent = if is_outer { passed_on } else { Extent::Whole };
        find_reads(below, extent, first_columns, found);
    }
}

/// Whether the statement names a table of the schema.
fn names(statement: &str, schema: &str) -> bool {
    statement.contains(&format!(" {schema}."))
}

/// The text of what is in `.sqlx`.
fn checked_statements() -> Vec<String> {
    let statement = |path: PathBuf| {
        let description: Value = serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON");
        description["query"].as_str().expect("a statement").to_owned()
    };
    let statements: Vec<_> = files(".sqlx").into_iter().map(statement).collect();
    for statement in &statements {
        let owners = testing::SCHEMAS.into_iter().filter(|schema| names(statement, schema)).count();
        assert_eq!(owners, 1, "the tables of one schema are named in {statement}");
    }
    statements
}

/// How many statements the compiler does not check.
fn statements_made_at_run_time() -> usize {
    let sources = ["service-kit/src", "orders-service/src", "payments-service/src"].into_iter().flat_map(files);
    let made = |path: PathBuf| fs::read_to_string(path).expect("a file").matches("AssertSqlSafe(").count();
    sources.map(made).sum()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(path(folder)).expect("the folder is in the repository");
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    paths.filter(|path| path.is_file()).collect()
}

/// Of something in the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}
