//! The database, its copies and its logs are gone from every drive, and the metadata is made anew from the blocks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, CompletedMultipartUpload, CompletedPart, ObjectLockLegalHoldStatus,
    ObjectLockRetentionMode, VersioningConfiguration,
};
use granary_tests::client::decided;
use granary_tests::content::seeded_bytes;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::postgres::{Flushing, PostgresCluster};
use granary_tests::server::binary;
use granary_tests::{PATIENCE, Server, ServerConfig};
use serde_json::Value;

const WORKERS: u64 = 8;
const LOAD_TIME: Duration = Duration::from_secs(2);
const VERSIONED: &str = "versioned";
const LOCKED: &str = "locked";

/// Small volumes and an impatient janitor, so that sealing, compaction and reclaiming happen within seconds.
fn config() -> ServerConfig {
    ServerConfig::drives(6)
        .env("GRANARY_GRACE_MS", "300")
        .env("GRANARY_MAINTENANCE_INTERVAL_MS", "100")
        .env("GRANARY_VOLUME_LIMIT_BYTES", "4194304")
}

fn without_backups() -> ServerConfig {
    config().env("GRANARY_METADATA_BACKUPS_KEPT", "0")
}

struct Ran {
    is_success: bool,
    output: Value,
    complaint: String,
}

impl Ran {
    fn report(&self, what: &str) -> u64 {
        self.output["report"][what].as_u64().unwrap_or_else(|| panic!("no {what} in {}", self.output))
    }

    fn found(&self, kind: &str) -> u64 {
        self.output["report"]["findings"][kind].as_u64().unwrap_or(0)
    }
}

fn command(drives: &[PathBuf], args: &[&str]) -> Command {
    let mut command = Command::new(binary().unwrap());
    command.args(["--json", "recover", "--from-drives"]).args(args).stdin(Stdio::null());
    for path in drives {
        command.arg("--data").arg(path);
    }
    command
}

async fn recover(drives: &[PathBuf], args: &[&str]) -> Ran {
    let mut command = command(drives, args);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Ran {
        is_success: output.status.success(),
        output: lines.lines().last().map_or(Value::Null, |line| serde_json::from_str(line).unwrap()),
        complaint: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Recovers as suggested, and expects that to succeed.
async fn recovered(drives: &[PathBuf], args: &[&str]) -> Ran {
    let ran = recover(drives, &[args, &["--apply", "--candidates", "suggested"]].concat()).await;
    assert!(ran.is_success, "{}\n{}", ran.complaint, ran.output);
    assert_eq!(ran.found("lost"), 0, "{}", ran.output);
    ran
}

fn forget_database(server: &Server) {
    for path in server.drive_paths().iter().filter(|path| path.exists()) {
        std::fs::remove_dir_all(path.join("meta")).unwrap();
        let _none = std::fs::remove_dir_all(path.join("backups"));
    }
}

async fn put(client: &Client, bucket: &str, key: &str, seed: u64, length: usize) -> Option<String> {
    let body = ByteStream::from(seeded_bytes(seed, length));
    let request = client.put_object().bucket(bucket).key(key).body(body);
    let request = request.content_type("text/x-seeded").metadata("seed", seed.to_string());
    request.send().await.unwrap().version_id
}

async fn multipart(client: &Client, bucket: &str, key: &str) {
    let created =
        client.create_multipart_upload().bucket(bucket).key(key).content_type("a/b").send().await.unwrap();
    let upload = created.upload_id().unwrap();
    let mut parts = Vec::new();
    for number in 1..=3 {
        let body = ByteStream::from(seeded_bytes(u64::try_from(number).unwrap(), 5 << 20));
        let request = client.upload_part().bucket(bucket).key(key).upload_id(upload).part_number(number);
        let sent = request.body(body).send().await.unwrap();
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build());
    }
    let completed = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let request = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(upload);
    request.multipart_upload(completed).send().await.unwrap();
}

async fn delete(client: &Client, bucket: &str, key: &str, version: Option<String>) {
    client.delete_object().bucket(bucket).key(key).set_version_id(version).send().await.unwrap();
}

async fn enable_versioning(client: &Client, bucket: &str) {
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    client.put_bucket_versioning().bucket(bucket).versioning_configuration(enabled).send().await.unwrap();
}

async fn make_buckets(client: &Client) {
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    client.create_bucket().bucket("no-objects").send().await.unwrap();
    client.create_bucket().bucket("deleted").send().await.unwrap();
    client.delete_bucket().bucket("deleted").send().await.unwrap();
    client.create_bucket().bucket(VERSIONED).send().await.unwrap();
    put(client, VERSIONED, "before", 1, 100).await;
    enable_versioning(client, VERSIONED).await;
    client.create_bucket().bucket(LOCKED).object_lock_enabled_for_bucket(true).send().await.unwrap();
}

/// Versions of all kinds, written, replaced, marked and erased.
async fn write_versions(client: &Client, round: u64) {
    put(client, VERSIONED, "before", 2 + round, 200).await;
    for (key, length) in [("small", 3_000), ("large", 700_000), ("empty", 0)] {
        put(client, VERSIONED, key, 10 + round, length).await;
        let erased = put(client, VERSIONED, key, 11 + round, length).await;
        put(client, VERSIONED, key, 12 + round, length).await;
        delete(client, VERSIONED, key, erased).await;
    }
    multipart(client, VERSIONED, "parts").await;
    delete(client, VERSIONED, "parts", None).await;
    put(client, VERSIONED, "parts", 13 + round, 50).await;
    put(client, VERSIONED, "marked", 14 + round, 60).await;
    delete(client, VERSIONED, "marked", None).await;
    for (from, to) in [("small", "small-copy"), ("large", "large-copy")] {
        let source = format!("{VERSIONED}/{from}");
        client.copy_object().bucket(VERSIONED).key(to).copy_source(source).send().await.unwrap();
    }
    let request = client.put_object().bucket(VERSIONED).key("tagged").tagging("a=b&c=d");
    request.body(ByteStream::from(seeded_bytes(round, 70))).send().await.unwrap();
    let once = |seed| {
        let request = client.put_object().bucket(VERSIONED).key(format!("once-{round}")).if_none_match("*");
        request.body(ByteStream::from(seeded_bytes(seed, 80))).send()
    };
    once(1).await.unwrap();
    assert_eq!(decided(once(2).await).unwrap().unwrap_err().status, 412);
}

/// Everything that clients can see of the buckets with versions.
async fn seen(client: &Client) -> Seen {
    let mut all = BTreeMap::new();
    let buckets = client.list_buckets().send().await.unwrap();
    for bucket in buckets.buckets().iter().filter_map(|bucket| bucket.name()) {
        let created = client.get_bucket_versioning().bucket(bucket).send().await.unwrap();
        all.insert(bucket.to_owned(), vec![format!("{:?}", created.status)]);
        if bucket == BUCKET {
            continue;
        }
        let page = client.list_object_versions().bucket(bucket).send().await.unwrap();
        assert!(!page.is_truncated().unwrap_or(false));
        for marker in page.delete_markers() {
            let told = (marker.version_id(), marker.is_latest(), marker.last_modified());
            let key = format!("{bucket}/{}", marker.key().unwrap());
            all.entry(key).or_default().push(format!("marker {told:?}"));
        }
        for version in page.versions() {
            let (key, id) = (version.key().unwrap(), version.version_id().unwrap());
            let got = client.get_object().bucket(bucket).key(key).version_id(id).send().await.unwrap();
            let told = (id, version.is_latest(), version.last_modified(), version.e_tag(), version.size());
            let headers = (got.content_type.clone(), got.metadata.clone(), got.tag_count, got.parts_count);
            let body = got.body.collect().await.unwrap().into_bytes();
            let sum =
                body.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
            all.entry(format!("{bucket}/{key}")).or_default().push(format!("{told:?} {headers:?} {sum}"));
        }
    }
    all
}

async fn load(server: &Server, ledger: &Arc<Ledger>, seed: u64) {
    let load = Load::start(&server.client().unwrap(), ledger, WORKERS, seed, OnFailure::Fail);
    tokio::time::sleep(LOAD_TIME).await;
    load.finish().await.unwrap();
}

/// Reads, writes, changes, deletes and heals go on, and are right.
async fn works(server: &mut Server, ledger: &Arc<Ledger>) {
    ledger.verify(&server.client().unwrap()).await.unwrap();
    load(server, ledger, 99).await;
    server.admin(&["heal"]).await.unwrap();
    server.admin(&["volume", "compact"]).await.unwrap();
    ledger.verify(&server.client().unwrap()).await.unwrap();
    assert_eq!(server.metric("granary_metadata_regressed").await.unwrap(), 0.0);
    server.stop_and_restart().await.unwrap();
    ledger.verify(&server.client().unwrap()).await.unwrap();
}

async fn filled(server: &Server) -> Arc<Ledger> {
    let client = server.client().unwrap();
    make_buckets(&client).await;
    write_versions(&client, 0).await;
    let ledger = Arc::new(Ledger::default());
    load(server, &ledger, 1).await;
    server.admin(&["volume", "compact"]).await.unwrap();
    write_versions(&client, 100).await;
    load(server, &ledger, 2).await;
    ledger
}

/// What clients see of a store.
type Seen = BTreeMap<String, Vec<String>>;

/// A filled server that is killed and has neither database nor backups any more; and what was seen of it before.
async fn without_database() -> (Server, Arc<Ledger>, Seen) {
    let mut server = Server::start(without_backups()).await.unwrap();
    let ledger = filled(&server).await;
    let before = seen(&server.client().unwrap()).await;
    server.kill().unwrap();
    forget_database(&server);
    (server, ledger, before)
}

/// Starts the server: clients see what they saw before, and it goes on.
async fn is_as_before(server: &mut Server, before: &Seen, ledger: &Arc<Ledger>) {
    server.launch().await.unwrap();
    assert_eq!(&seen(&server.client().unwrap()).await, before);
    works(server, ledger).await;
}

#[tokio::test]
async fn without_database_and_backups_everything_acknowledged_comes_back() {
    let (mut server, ledger, before) = without_database().await;
    let drives = server.drive_paths().to_vec();

    let dry = recover(&drives, &["--list", server.dir().join("found").to_str().unwrap()]).await;
    assert!(dry.is_success, "{}", dry.complaint);
    assert!(dry.report("gone") > 0 && dry.report("delete_markers") >= 4, "{}", dry.output);
    assert!(dry.output["written"].is_null());
    assert!(drives.iter().all(|drive| std::fs::read_dir(drive.join("meta")).unwrap().count() <= 1));
    recovered(&drives, &[]).await;
    is_as_before(&mut server, &before, &ledger).await;
    assert_eq!(seen(&server.client().unwrap()).await, before);
}

#[tokio::test]
async fn a_lost_drive_is_made_up_for_by_the_others() {
    let (mut server, ledger, before) = without_database().await;
    let drives = server.drive_paths().to_vec();
    std::fs::remove_dir_all(&drives[1]).unwrap();
    std::fs::create_dir(&drives[1]).unwrap();
    let refused = recover(&drives, &["--apply"]).await;
    assert!(!refused.is_success && refused.complaint.contains("--lost"), "{}", refused.complaint);
    let ran = recovered(&drives, &["--lost"]).await;
    assert!(ran.output["report"]["volumes"]["degraded"].as_u64().unwrap() > 0, "{}", ran.output);
    is_as_before(&mut server, &before, &ledger).await;
}

async fn backed_up(server: &Server) {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let begun = Instant::now();
    loop {
        let mut command = Command::new(binary().unwrap());
        command.args(["--json", "metadata", "backups"]).stdin(Stdio::null());
        for path in server.drive_paths() {
            command.arg("--data").arg(path);
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        if found[0]["created_ms"].as_i64().is_some_and(|newest| newest > now) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "no backup was made: {found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_is_newer_than_an_old_backup_comes_from_the_blocks() {
    let mut server = Server::start(config().env("GRANARY_METADATA_BACKUP_INTERVAL_MS", "400")).await.unwrap();
    let ledger = filled(&server).await;
    backed_up(&server).await;
    server.stop().await.unwrap();
    server.set_env(config().env("GRANARY_METADATA_BACKUP_INTERVAL_MS", "36000000").env);
    server.launch().await.unwrap();
    let client = server.client().unwrap();
    write_versions(&client, 200).await;
    delete(&client, VERSIONED, "small-copy", None).await;
    load(&server, &ledger, 3).await;
    server.admin(&["volume", "compact"]).await.unwrap();
    let before = seen(&client).await;
    server.kill().unwrap();
    let drives = server.drive_paths().to_vec();
    let in_use = recover(&drives, &["--apply"]).await;
    assert!(!in_use.is_success && in_use.complaint.contains("metadata"), "{}", in_use.complaint);
    for path in &drives {
        std::fs::remove_dir_all(path.join("meta")).unwrap();
    }
    let ran = recovered(&drives, &[]).await;
    assert!(ran.output["report"]["backup"].is_array(), "{}", ran.output);
    assert!(ran.report("from_blocks") > 0, "{}", ran.output);
    is_as_before(&mut server, &before, &ledger).await;
}

#[tokio::test]
async fn killed_in_the_middle_it_is_run_again() {
    let (mut server, ledger, before) = without_database().await;
    let drives = server.drive_paths().to_vec();
    for delay_ms in [20, 150, 600] {
        let mut child = command(&drives, &["--apply", "--candidates", "suggested"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    forget_database(&server);
    let mut dying = command(&drives, &["--apply", "--candidates", "suggested"]);
    dying.env("GRANARY_CRASH_POINT", "recover.after_copy_before_finish");
    let died = tokio::task::spawn_blocking(move || dying.output().unwrap()).await.unwrap();
    assert!(!died.status.success(), "the crash point was not reached");
    server.spawn().unwrap();
    assert!(!server.wait_exit(PATIENCE).await.unwrap().success(), "what is not finished is not opened");
    let ran = recovered(&drives, &[]).await;
    assert!(ran.output["resumed_at"].as_u64().unwrap() > 0, "{}", ran.output);
    is_as_before(&mut server, &before, &ledger).await;
}

#[tokio::test]
async fn metadata_that_is_in_use_is_only_replaced_when_that_is_said() {
    let mut server = Server::start(without_backups()).await.unwrap();
    let ledger = filled(&server).await;
    let drives = server.drive_paths().to_vec();
    let running = recover(&drives, &["--apply"]).await;
    assert!(running.complaint.contains("another granary process"), "{}", running.complaint);
    server.stop().await.unwrap();
    let in_use = recover(&drives, &["--apply", "--candidates", "suggested"]).await;
    assert!(
        !in_use.is_success && in_use.complaint.contains("metadata that is in use"),
        "{}",
        in_use.complaint
    );
    recovered(&drives, &["--move-metadata-aside"]).await;
    server.launch().await.unwrap();
    works(&mut server, &ledger).await;
}

#[tokio::test]
async fn a_database_can_be_where_it_goes() {
    let database = PostgresCluster::start(Flushing::On).unwrap();
    database.create_database("first").unwrap();
    database.create_database("second").unwrap();
    let config = without_backups();
    let first = config.clone().env("GRANARY_METADATA", &database.url("first"));
    let mut server = Server::start(first).await.unwrap();
    let ledger = filled(&server).await;
    let before = seen(&server.client().unwrap()).await;
    server.kill().unwrap();
    let drives = server.drive_paths().to_vec();
    let in_use = recover(&drives, &["--apply", "--to", &database.url("first")]).await;
    assert!(in_use.complaint.contains("empty database"), "{}", in_use.complaint);
    recovered(&drives, &["--to", &database.url("second")]).await;
    server.set_env(config.env("GRANARY_METADATA", &database.url("second")).env);
    is_as_before(&mut server, &before, &ledger).await;
}

#[tokio::test]
async fn a_bucket_with_object_lock_recovers_closed() {
    let mut server = Server::start(without_backups()).await.unwrap();
    let client = server.client().unwrap();
    make_buckets(&client).await;
    let free = put(&client, LOCKED, "free", 1, 1000).await;
    let until = SystemTime::now() + Duration::from_secs(3600);
    let request =
        client.put_object().bucket(LOCKED).key("kept").body(ByteStream::from(seeded_bytes(2, 2000)));
    let request = request.object_lock_mode(aws_sdk_s3::types::ObjectLockMode::Compliance);
    request.object_lock_retain_until_date(until.into()).send().await.unwrap();
    server.kill().unwrap();
    forget_database(&server);
    let ran = recovered(server.drive_paths(), &[]).await;
    assert_eq!(ran.report("closed"), 2);
    server.launch().await.unwrap();
    let client = server.client().unwrap();
    let refused = client.delete_object().bucket(LOCKED).key("free").set_version_id(free.clone()).send().await;
    assert_eq!(decided(refused).unwrap().unwrap_err().status, 403);
    let kept = client.get_object_retention().bucket(LOCKED).key("kept").send().await.unwrap();
    assert_eq!(kept.retention().unwrap().mode(), Some(&ObjectLockRetentionMode::Compliance));
    let off =
        aws_sdk_s3::types::ObjectLockLegalHold::builder().status(ObjectLockLegalHoldStatus::Off).build();
    for key in ["free", "kept"] {
        let request = client.put_object_legal_hold().bucket(LOCKED).key(key);
        request.legal_hold(off.clone()).send().await.unwrap();
    }
    delete(&client, LOCKED, "free", free).await;
    let version = client.head_object().bucket(LOCKED).key("kept").send().await.unwrap().version_id;
    let refused = client.delete_object().bucket(LOCKED).key("kept").set_version_id(version).send().await;
    assert_eq!(decided(refused).unwrap().unwrap_err().status, 403, "its own retention still holds");
}

#[tokio::test]
async fn candidates_wait_for_a_decision_and_lists_of_decisions_are_followed() {
    let mut server =
        Server::start(without_backups().env("GRANARY_MAINTENANCE_INTERVAL_MS", "3600000")).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    put(&client, BUCKET, "a", 1, 100).await;
    put(&client, BUCKET, "b", 2, 200).await;
    server.kill().unwrap();
    forget_database(&server);
    for path in server.drive_paths() {
        let _none = std::fs::remove_file(path.join("committed-ends.json"));
    }
    let drives = server.drive_paths().to_vec();
    let list = server.dir().join("found.jsonl");
    let undecided = recover(&drives, &["--apply", "--list", list.to_str().unwrap()]).await;
    assert!(!undecided.is_success, "{}", undecided.output);
    assert_eq!((undecided.found("unconfirmed"), undecided.report("undecided")), (2, 2));
    let lines = std::fs::read_to_string(&list).unwrap();
    let decided = lines.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if line["key"] == "b" {
            line["decision"] = "exclude".into();
        }
        format!("{line}\n")
    });
    let decisions = server.dir().join("decisions.jsonl");
    std::fs::write(&decisions, decided.collect::<String>()).unwrap();
    let ran = recover(&drives, &["--apply", "--decisions", decisions.to_str().unwrap()]).await;
    assert!(ran.is_success, "{}\n{}", ran.complaint, ran.output);
    server.launch().await.unwrap();
    let client = server.client().unwrap();
    client.get_object().bucket(BUCKET).key("a").send().await.unwrap();
    let gone = decided_get(&client, "b").await;
    assert_eq!(gone, 404);
}

async fn decided_get(client: &Client, key: &str) -> u16 {
    decided(client.get_object().bucket(BUCKET).key(key).send().await)
        .unwrap()
        .map_or_else(|r| r.status, |_| 200)
}
