//! Killed at every named crash point of the metadata, the store comes back with everything it acknowledged.
//!
//! A crash needs a process: the test runs its own binary again, only the worker below, with one point armed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{DATABASE, Homes, assert_has, begin, dump, put};
use granary_metadata::MetadataStore;
use granary_metadata::conformance::sample::{bucket_id, key};
use granary_metadata::sqlite::Existing::{Expected, MayBeNew};
use granary_types::{CRASH_POINT_VARIABLE, CRASH_POINTS};

const WORKER_ROOT: &str = "GRANARY_TEST_CRASH_ROOT";

fn homes(root: &Path) -> Homes {
    let mut homes = Homes::new(root, 3, 2);
    // Short, so that snapshots happen while the worker writes.
    homes.log_bytes_min = 20_000;
    homes
}

/// Not a test of its own: what the child process does. It notes every acknowledged object in a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker() {
    use std::io::Write as _;
    let Ok(root) = std::env::var(WORKER_ROOT) else { return };
    let root = Path::new(&root);
    let store = homes(root).open(MayBeNew);
    if store.bucket(&granary_metadata::conformance::sample::bucket(1).name).await.unwrap().is_none() {
        begin(&store).await;
    }
    let mut acknowledged =
        std::fs::File::options().append(true).create(true).open(root.join("acks")).unwrap();
    let from = acks(root);
    for n in from..from + 400 {
        put(&store, n, n + 1).await;
        acknowledged.write_all(b".").unwrap();
        if n % 50 == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        }
    }
}

fn acks(root: &Path) -> u64 {
    std::fs::metadata(root.join("acks")).map_or(0, |metadata| metadata.len())
}

/// Runs the worker; whether it died at the armed point.
fn run_worker(root: &Path, point: Option<&str>) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "worker", "--nocapture"]).env(WORKER_ROOT, root);
    match point {
        Some(point) => command.env(CRASH_POINT_VARIABLE, point),
        None => command.env_remove(CRASH_POINT_VARIABLE),
    };
    let output = command.output().unwrap();
    let aborted = !output.status.success();
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!aborted || point.is_some(), "{told}");
    aborted
}

async fn assert_sound(root: &Path) {
    let homes = homes(root);
    let store = homes.open(MayBeNew);
    let acknowledged = acks(root);
    assert_has(&store, 0, acknowledged).await;
    // At most the one write that had no answer yet may be there too.
    let beyond = key(&format!("key-{:06}", acknowledged + 1));
    assert_eq!(store.object(bucket_id(1), &beyond, None).await.unwrap(), None);
    assert_eq!(store.recount().await.unwrap(), []);
    assert_eq!(store.copies_missing(), 0);
    store.close().await.unwrap();
}

#[tokio::test]
async fn every_crash_point_is_survived() {
    let mine = CRASH_POINTS.iter().filter(|name| name.starts_with("metadata."));
    for point in mine {
        for nth in [1, 7] {
            let root = tempfile::tempdir().unwrap();
            // Rebuilding needs something to rebuild.
            let rebuilds = point.starts_with("metadata.rebuild");
            if rebuilds {
                run_worker(root.path(), None);
                homes(root.path()).lose(0);
            }
            let died = run_worker(root.path(), Some(&format!("{point}:{nth}")));
            assert!(died || nth > 1, "{point} was never passed");
            if rebuilds || died {
                assert_sound(root.path()).await;
            }
        }
    }
}

#[tokio::test]
async fn what_a_crash_left_survives_the_loss_of_the_database_too() {
    for point in [
        "metadata.after_log_flush:90",
        "metadata.after_commit_before_log:90",
        "metadata.before_commit:90",
        "metadata.after_apply_before_durable:90",
    ] {
        let root = tempfile::tempdir().unwrap();
        assert!(run_worker(root.path(), Some(point)));
        homes(root.path()).lose(0);
        assert_sound(root.path()).await;
        homes(root.path()).lose(1);
        assert_sound(root.path()).await;
    }
}

#[tokio::test]
async fn a_replayed_database_equals_the_original() {
    let root = tempfile::tempdir().unwrap();
    let homes = Homes::new(root.path(), 2, 1);
    let store = homes.open(MayBeNew);
    granary_metadata::conformance::random::everything(&*store, 7, 800).await;
    store.close().await.unwrap();
    let original = dump(&homes.dir(0).join(DATABASE));
    assert!(original.lines().count() > 50);
    homes.lose(0);
    let store = homes.open(Expected);
    let serving = homes.serving(&store).await;
    store.close().await.unwrap();
    assert_eq!(dump(&homes.dir(serving).join(DATABASE)), original);
}
