//! Databases of other releases: those of older ones are brought up to date, those of newer ones are refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

mod common;

use std::path::Path;

use common::{DATABASE, Homes, assert_has, begin, dump, put};
use granary_metadata::sqlite::Existing::{Expected, MayBeNew};
use granary_metadata::{MetadataError, MetadataStore};

/// The schemas that releases have had, each by what it added.
const MIGRATIONS: [&str; 7] = [
    include_str!("../../../migrations/sqlite/0001_init.sql"),
    include_str!("../../../migrations/sqlite/0002_side_tables.sql"),
    include_str!("../../../migrations/sqlite/0003_identities.sql"),
    include_str!("../../../migrations/sqlite/0004_object_acls.sql"),
    include_str!("../../../migrations/sqlite/0005_usage_and_events.sql"),
    include_str!("../../../migrations/sqlite/0006_tiers.sql"),
    include_str!("../../../migrations/sqlite/0007_warm_copies.sql"),
];

/// Makes a database as the release with the first `version` migrations had it, of the rows of a database of today.
fn older_database(version: usize, today: &Path, older: &Path) {
    let connection = rusqlite::Connection::open(older).unwrap();
    let versions = "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY) STRICT";
    connection.execute_batch(versions).unwrap();
    for (number, sql) in (1_u32..).zip(MIGRATIONS).take(version) {
        connection.execute_batch(sql).unwrap();
        connection.execute("INSERT INTO schema_migrations (version) VALUES (?1)", [number]).unwrap();
    }
    connection.execute("ATTACH ?1 AS today", [today.to_str().unwrap()]).unwrap();
    let names = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    };
    for table in
        names("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name <> 'schema_migrations'")
    {
        let columns = names(&format!("SELECT name FROM pragma_table_info('{table}')")).join(", ");
        let copy = format!(
            "DELETE FROM main.{table}; INSERT INTO main.{table} ({columns}) SELECT {columns} FROM today.{table}"
        );
        connection.execute_batch(&copy).unwrap();
    }
}

/// What each bucket takes, and every other row, without the classes of drives: these are told anew at each start.
fn rows(database: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(database).unwrap();
    let sql = "SELECT hex(bucket_id) || ' ' || bytes || ' ' || objects FROM bucket_usage ORDER BY 1";
    let mut usage = connection.prepare(sql).unwrap();
    let usage = usage.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap);
    let rows = dump(database);
    let rows = rows.lines().filter(|row| !row.starts_with("drives ")).map(str::to_owned);
    usage.chain(rows).collect()
}

#[tokio::test]
async fn databases_of_every_older_schema_are_opened_with_their_rows() {
    let root = tempfile::tempdir().unwrap();
    let homes = Homes::new(root.path(), 1, 0);
    let store = homes.open(MayBeNew);
    granary_metadata::conformance::random::everything(&*store, 5, 300).await;
    store.recount().await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let (today, database) = (root.path().join("today.sqlite"), homes.dir(0).join(DATABASE));
    std::fs::rename(&database, &today).unwrap();
    let expected = rows(&today);
    assert!(expected.len() > 30, "{expected:?}");
    for version in 1..=MIGRATIONS.len() {
        older_database(version, &today, &database);
        let store = homes.open(Expected);
        store.verify().await.unwrap();
        // Uploads that were in progress before usage was told are not in it until it is counted.
        assert_eq!(store.recount().await.unwrap(), [], "schema {version}");
        store.close().await.unwrap();
        drop(store);
        assert_eq!(rows(&database), expected, "schema {version}");
        for file in homes.files(0, DATABASE, "") {
            std::fs::remove_file(file).unwrap();
        }
    }
}

#[tokio::test]
async fn a_database_of_a_newer_schema_is_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let homes = Homes::new(root.path(), 3, 2);
    let store = homes.open(MayBeNew);
    begin(&store).await;
    put(&store, 0, 50).await;
    store.close().await.unwrap();
    drop(store);
    let database = homes.dir(0).join(DATABASE);
    let next = u32::try_from(MIGRATIONS.len()).unwrap() + 1;
    let execute = |sql: &str| rusqlite::Connection::open(&database).unwrap().execute(sql, [next]).unwrap();
    execute("INSERT INTO schema_migrations (version) VALUES (?1)");
    let before = dump(&database);
    // Not even the copies are opened in its place: they may be of the newer release too.
    match homes.try_open(Expected).map(|_| ()) {
        Err(MetadataError::SchemaTooNew { found, supported }) => {
            assert_eq!((found, supported), (next, next - 1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(dump(&database), before);
    execute("DELETE FROM schema_migrations WHERE version = ?1");
    let store = homes.open(Expected);
    assert_has(&store, 0, 50).await;
    store.verify().await.unwrap();
}
