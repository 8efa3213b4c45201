//! The metadata is lost with everything but the drives, and comes back from the backups on them; or from a file.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::postgres::{Flushing, PostgresCluster};
use granary_tests::server::binary;
use granary_tests::{PATIENCE, Server, ServerConfig};
use serde_json::Value;

const WORKERS: u64 = 8;
const LOAD_TIME: Duration = Duration::from_secs(2);
const KEPT: usize = 3;

fn often(config: ServerConfig) -> ServerConfig {
    config
        .env("GRANARY_METADATA_BACKUP_INTERVAL_MS", "400")
        .env("GRANARY_METADATA_BACKUPS_KEPT", &KEPT.to_string())
}

fn drives(server: &Server) -> String {
    let paths: Vec<_> = server.drive_paths().iter().map(|path| path.display().to_string()).collect();
    paths.join(",")
}

/// Runs a subcommand; its last line of JSON, or what it complains of.
async fn granary(args: &[&str]) -> Result<Value, String> {
    let mut command = Command::new(binary().unwrap());
    command.arg("--json").args(args).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_str(String::from_utf8_lossy(&output.stdout).lines().last().unwrap()).unwrap())
}

async fn backups(server: &Server) -> Vec<Value> {
    let mut args = vec!["metadata".to_owned(), "backups".to_owned()];
    for path in server.drive_paths() {
        args.extend(["--data".to_owned(), path.display().to_string()]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    granary(&args).await.unwrap().as_array().unwrap().clone()
}

/// Waits for a backup that was begun after now.
async fn backed_up(server: &Server) {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let begun = Instant::now();
    loop {
        let found = backups(server).await;
        if found.first().is_some_and(|newest| newest["created_ms"].as_i64().unwrap() > now) {
            // The older ones go when the newer one is whole; the drives are not listed at one moment.
            if found.len() <= KEPT + 1 {
                return;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "no backup was made, or older ones stay: {found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn filled(server: &Server) -> Arc<Ledger> {
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let mut load = Load::start(&client, &ledger, WORKERS, 1, OnFailure::Fail);
    tokio::time::sleep(LOAD_TIME).await;
    load.goes_on(0).await.unwrap();
    load.finish().await.unwrap();
    ledger
}

/// Writes, changes and deletes go on, and are right.
async fn works(server: &Server, ledger: &Arc<Ledger>) {
    let client = server.client().unwrap();
    ledger.verify(&client).await.unwrap();
    let load = Load::start(&client, ledger, WORKERS, 2, OnFailure::Fail);
    tokio::time::sleep(LOAD_TIME).await;
    load.finish().await.unwrap();
    ledger.verify(&client).await.unwrap();
    assert_eq!(server.metric("granary_metadata_regressed").await.unwrap(), 0.0);
}

#[tokio::test]
async fn a_lost_database_comes_back_from_the_drives_or_from_a_file() {
    let database = PostgresCluster::start(Flushing::On).unwrap();
    for name in ["first", "second", "third"] {
        database.create_database(name).unwrap();
    }
    let [first, second, third] = ["first", "second", "third"].map(|name| database.url(name));
    let config = often(ServerConfig::drives(6));
    let mut server = Server::start(config.clone().env("GRANARY_METADATA", &first)).await.unwrap();
    let ledger = filled(&server).await;
    backed_up(&server).await;
    // While the server runs.
    let file = server.dir().join("backup");
    let to = format!("file:{}", file.display());
    let made = granary(&["metadata", "backup", "--from", &first, "--to", &to]).await.unwrap();
    // However few they are that a slow machine has come to.
    let entries = made["backup"]["entries"].as_u64().unwrap();
    assert!(entries >= ledger.objects() as u64, "{made}, of {} objects", ledger.objects());
    server.kill().unwrap();

    // Two drives are lost with the database: their backups are moved away, which the 4+2 code must bear.
    for path in &server.drive_paths()[..2] {
        std::fs::rename(path.join("backups"), path.join("backups-away")).unwrap();
    }
    let from = format!("drives:{}", drives(&server));
    let restored = granary(&["metadata", "restore", "--from", &from, "--to", &second]).await.unwrap();
    assert_eq!(restored["was_complete"], false);
    let refused = granary(&["metadata", "restore", "--from", &to, "--to", &second]).await.unwrap_err();
    assert!(refused.contains("holds the metadata of a store"), "{refused}");
    server.set_env(config.clone().env("GRANARY_METADATA", &second).env);
    server.launch().await.unwrap();
    ledger.verify(&server.client().unwrap()).await.unwrap();
    server.stop().await.unwrap();

    granary(&["metadata", "restore", "--from", &to, "--to", &third]).await.unwrap();
    server.set_env(config.env("GRANARY_METADATA", &third).env);
    server.launch().await.unwrap();
    works(&server, &ledger).await;
}

#[tokio::test]
async fn embedded_metadata_that_is_gone_from_every_drive_comes_back_from_their_backups() {
    let mut server = Server::start(often(ServerConfig::drives(6))).await.unwrap();
    let ledger = filled(&server).await;
    backed_up(&server).await;
    let place = format!("sqlite:{}", drives(&server));
    let from = format!("drives:{}", drives(&server));
    let running = granary(&["metadata", "restore", "--from", &from, "--to", &place]).await.unwrap_err();
    assert!(running.contains("another granary process"), "{running}");
    server.kill().unwrap();
    let in_use = granary(&["metadata", "restore", "--from", &from, "--to", &place]).await.unwrap_err();
    assert!(in_use.contains("metadata that is in use"), "{in_use}");
    for path in server.drive_paths() {
        std::fs::remove_dir_all(path.join("meta")).unwrap();
    }
    granary(&["metadata", "restore", "--from", &from, "--to", &place]).await.unwrap();
    server.launch().await.unwrap();
    works(&server, &ledger).await;
    server.kill_and_restart().await.unwrap();
    ledger.verify(&server.client().unwrap()).await.unwrap();
    // A drive's backups are not what a client can list, read or write.
    let listed = server.client().unwrap().list_buckets().send().await.unwrap();
    assert_eq!(listed.buckets().len(), 1);
}

#[tokio::test]
async fn a_database_is_migrated_by_command_and_a_newer_schema_is_refused() {
    let database = PostgresCluster::start(Flushing::On).unwrap();
    database.create_database("granary").unwrap();
    let url = database.url("granary");
    let first = granary(&["migrate", "--metadata", &url]).await.unwrap();
    assert_eq!(first["was"], 0);
    assert!(first["is"].as_u64().unwrap() >= 1);
    let second = granary(&["migrate", "--metadata", &url]).await.unwrap();
    assert_eq!(second["was"], second["is"]);
    // A later version expanded the schema, and still serves this one; then contracted it.
    database.sql("granary", "UPDATE granary_schema SET version = version + 1").unwrap();
    granary(&["migrate", "--metadata", &url]).await.unwrap();
    database.sql("granary", "UPDATE granary_schema SET oldest_binary = version").unwrap();
    let refused = granary(&["migrate", "--metadata", &url]).await.unwrap_err();
    assert!(refused.contains("use a newer version"), "{refused}");
    let mut server = Server::prepare(ServerConfig::drives(1).env("GRANARY_METADATA", &url)).unwrap();
    server.spawn().unwrap();
    assert!(!server.wait_exit(PATIENCE).await.unwrap().success());
    assert!(server.log_tail().contains("use a newer version"), "{}", server.log_tail());
}
