//! Every statement and migration keeps to what Postgres, Citus, YugabyteDB and CockroachDB all run.

use std::path::Path;

/// Words that one of them lacks, or that the design rules out.
const FORBIDDEN: &[&str] = &[
    "ADVISORY",
    "LISTEN",
    "NOTIFY",
    "TRIGGER",
    "SERIAL",
    "BIGSERIAL",
    "SEQUENCE",
    "NEXTVAL",
    "IDENTITY",
    "REFERENCES",
    "FOREIGN",
    "RECURSIVE",
    "LATERAL",
    "MERGE",
    "SKIP",
    "INHERITS",
    "TABLESPACE",
    "UNLOGGED",
    "CTID",
    "XMIN",
    "GENERATED",
    "FUNCTION",
    "PROCEDURE",
    "DO $",
    "COLLATE",
    "OFFSET",
    "TABLESAMPLE",
    "CURSOR",
    "VACUUM",
    "CLUSTER",
    "EXCLUDE",
    "HSTORE",
    "JSONB",
];

/// Tables whose rows belong to a bucket.
const BUCKETED: &[&str] = &[
    "objects",
    "object_versions",
    "uploads",
    "parts",
    "object_tags",
    "object_acls",
    "object_restores",
    "object_warmth",
    "bucket_documents",
];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for dir in [root.join("src/postgres/sql"), root.join("../../migrations/postgres")] {
        for entry in std::fs::read_dir(&dir).unwrap_or_else(|error| unreachable!("{dir:?}: {error}")) {
            let path = entry.unwrap_or_else(|error| unreachable!("{error}")).path();
            let name = path.display().to_string();
            if !name.ends_with("_tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap_or_else(|error| unreachable!("{error}"));
                sources.push((name, code(&text)));
            }
        }
    }
    sources
}

/// The text without comments.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.split("--").next().unwrap_or_default();
        line.split("//").next().unwrap_or_default()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn statements_and_migrations_keep_to_the_portable_subset() {
    let sources = sources();
    assert!(sources.len() >= 7, "{} sources", sources.len());
    for (name, text) in sources {
        let text = text.to_uppercase();
        for word in FORBIDDEN {
            assert!(!has_word(&text, word), "{name} has {word}");
        }
    }
}

#[test]
fn the_bucket_comes_first_in_the_primary_key_of_what_belongs_to_one() {
    let migrations: String =
        sources().into_iter().filter(|(name, _)| name.ends_with(".sql")).map(|(_, text)| text).collect();
    for table in BUCKETED {
        let begin = migrations.find(&format!("CREATE TABLE IF NOT EXISTS {table} ("));
        let body = begin.and_then(|at| migrations.get(at..)).and_then(|text| text.split(";").next());
        let body = body.unwrap_or_else(|| unreachable!("no table {table}"));
        assert!(body.contains("PRIMARY KEY (bucket_id, "), "{table}");
        assert!(body.contains("bucket_id") && body.contains("BYTEA"), "{table}");
    }
}

/// A table that a migration or a statement makes.
struct Made {
    name: String,
    /// With their types.
    columns: Vec<(String, String)>,
    key: Vec<String>,
}

/// The tables that the migrations and the statements make.
fn tables() -> Vec<Made> {
    let text: String = sources().into_iter().map(|(_, text)| text.replace("\\\n", " ")).collect();
    let mut tables = Vec::new();
    for begin in text.split("CREATE TABLE IF NOT EXISTS ").skip(1) {
        let statement = begin.split(';').next().unwrap_or_default();
        let (name, body) = statement.split_once('(').unwrap_or_else(|| unreachable!("{statement}"));
        let body = body.rsplit_once(')').unwrap_or_else(|| unreachable!("{statement}")).0;
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        let (body, constraint) = body.split_once("PRIMARY KEY (").unwrap_or((body, ""));
        key.extend(
            constraint.split(')').next().unwrap_or_default().split(',').map(|part| part.trim().to_owned()),
        );
        for column in body.split(',').map(str::trim).filter(|column| !column.is_empty()) {
            let mut words = column.split_whitespace();
            let (column, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            if words.collect::<Vec<_>>().join(" ").starts_with("PRIMARY KEY") {
                key = vec![column.to_owned()];
            }
            columns.push((column.to_owned(), kind.to_owned()));
        }
        tables.push(Made { name: name.trim().to_owned(), columns, key });
    }
    tables
}

#[test]
fn every_table_has_a_primary_key_and_keys_are_bytes() {
    /// Numbers that order rows within something that is named by bytes, and the tables of one row.
    const NUMBERS: &[&str] = &["ord", "number", "initiated_ms", "at_ms", "batch", "one"];
    const TYPES: &[&str] = &["BYTEA", "BIGINT", "INTEGER", "SMALLINT", "TEXT", "TIMESTAMPTZ"];
    let tables = tables();
    assert!(tables.len() >= 13, "{} tables", tables.len());
    for Made { name: table, columns, key } in tables {
        assert!(!key.is_empty() && !key.iter().any(String::is_empty), "{table} has no primary key");
        for (column, kind) in &columns {
            assert!(TYPES.contains(&kind.as_str()), "{table}.{column} is {kind}");
        }
        for part in key.iter().filter(|part| !NUMBERS.contains(&part.as_str())) {
            assert!(
                columns.contains(&(part.clone(), "BYTEA".to_owned())),
                "{table}: the key's {part} is no BYTEA"
            );
        }
        let is_named =
            |column: &str| column == "key" || column == "name" || column == "id" || column.ends_with("_id");
        for (column, kind) in columns.iter().filter(|(column, _)| is_named(column)) {
            assert_eq!(kind, "BYTEA", "{table}.{column}");
        }
    }
}

#[test]
fn no_statement_is_written_outside_of_this_folder() {
    fn walk(dir: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap_or_else(|error| unreachable!("{error}")) {
            let path = entry.unwrap_or_else(|error| unreachable!("{error}")).path();
            if path.is_dir() {
                if !path.ends_with("sql") {
                    walk(&path, found);
                }
                continue;
            }
            let text = code(&std::fs::read_to_string(&path).unwrap_or_else(|error| unreachable!("{error}")));
            for begin in
                ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE ", "\"BEGIN", "\"CREATE ", "\"SET "]
            {
                if text.contains(begin) {
                    found.push(format!("{} has {begin}", path.display()));
                }
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/postgres"), &mut found);
    assert_eq!(found, [""; 0]);
}
