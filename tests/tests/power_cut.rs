//! The power fails: an ext4 file system on a loop device is shut down under load, without writing
//! back what was not flushed. After a remount everything acknowledged is there. Needs root.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::mount::Mount;
use granary_tests::{Server, ServerConfig};

const IMAGE_BYTES: u64 = 3 << 30;
const WORKERS: u64 = 12;
const CUTS: u64 = 4;
const ACKNOWLEDGED_MIN: u64 = 30;

#[tokio::test]
async fn power_cuts_on_one_drive_lose_nothing() {
    cut_repeatedly(1, &[]).await;
}

#[tokio::test]
async fn power_cuts_on_six_drives_lose_nothing() {
    cut_repeatedly(6, &[]).await;
}

/// The steps where a file is new, a commit is under way, or an answer is about to be sent.
#[tokio::test]
async fn power_cuts_at_crash_points_lose_nothing() {
    let points = [
        "drive.after_write_before_flush:40",
        "drive.after_flush_before_commit:40",
        "metadata.before_commit:40",
        "metadata.after_log_flush:40",
        "metadata.after_commit_before_answer:40",
        "engine.after_commit_before_ack:40",
    ];
    cut_repeatedly(6, &points).await;
}

/// Loads, cuts the power after a while or when the server dies at a crash point, remounts, verifies.
async fn cut_repeatedly(drives: usize, crash_points: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let (image, mount_point) = (dir.path().join("image"), dir.path().join("disk"));
    Mount::make_ext4(&image, IMAGE_BYTES).unwrap();
    let drive_paths = (1..=drives).map(|number| mount_point.join(format!("d{number}"))).collect();
    let mut mount = Mount::ext4(&mount_point, &image).unwrap();
    let mut server = Server::start(ServerConfig { drive_paths, ..ServerConfig::default() }).await.unwrap();
    server.client().unwrap().create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let rounds = if crash_points.is_empty() { CUTS } else { crash_points.len() as u64 };
    for round in 0..rounds {
        let point = crash_points.get(usize::try_from(round).unwrap()).copied();
        if let Some(point) = point {
            server.stop().await.unwrap();
            server.set_env(vec![("GRANARY_CRASH_POINT".to_owned(), point.to_owned())]);
            server.launch().await.unwrap();
        }
        let before = ledger.acknowledged();
        load_until_dark(&mut server, &mount, &ledger, round, point).await;
        assert!(ledger.acknowledged() > before, "round {round} acknowledged nothing");
        mount = remount(mount, &mount_point, &image);
        server.set_env(Vec::new());
        server.launch().await.unwrap();
        ledger.verify(&server.client().unwrap()).await.unwrap();
    }
    assert!(ledger.acknowledged() > ACKNOWLEDGED_MIN);
    drop(server);
    drop(mount);
}

async fn load_until_dark(
    server: &mut Server,
    mount: &Mount,
    ledger: &Arc<Ledger>,
    seed: u64,
    point: Option<&str>,
) {
    let load = Load::start(&server.client().unwrap(), ledger, WORKERS, seed, OnFailure::Stop);
    if point.is_none() {
        tokio::time::sleep(Duration::from_millis(700 + 300 * seed)).await;
    } else {
        let death = server.wait_exit(Duration::from_secs(60)).await;
        death.unwrap_or_else(|error| panic!("{point:?} was not reached: {error:#}"));
    }
    mount.cut_power().unwrap();
    if point.is_none() {
        // What is answered between the cut and the kill must not have been acknowledged falsely.
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.kill().unwrap();
    }
    load.finish().await.unwrap();
}

fn remount(mount: Mount, mount_point: &Path, image: &Path) -> Mount {
    drop(mount);
    Mount::ext4(mount_point, image).unwrap()
}
