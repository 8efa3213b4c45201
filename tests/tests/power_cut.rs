//! The power fails: an ext4 file system on a loop device is shut down under load, without writing
//! back what was not flushed. After a remount everything acknowledged is there. Needs root.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_tests::census::Harm;
use granary_tests::content::Choices;
use granary_tests::frozen::Calls;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::mount::Mount;
use granary_tests::{PATIENCE, Server, ServerConfig, sound};

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
        "metadata.after_apply_before_durable:40",
        "metadata.before_commit:40",
        "metadata.after_log_flush:40",
        "metadata.after_commit_before_answer:40",
        "group.after_commit_before_ack:40",
        "blob.after_flush_before_commit:5",
        "volume.after_open_before_write:4",
    ];
    cut_repeatedly(6, &points).await;
}

/// The steps of work that nobody waits for: volumes that are packed anew and given back, copies of the metadata, and what a
/// lost drive held, built again on the one in its place.
#[tokio::test]
async fn power_cuts_at_crash_points_of_maintenance_lose_nothing() {
    let points = [
        "compact.after_move_before_free:1",
        "reclaim.after_free_before_remove:1",
        "metadata.snapshot_before_rename:1",
        "heal.after_install_before_move:1",
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
        let before = ledger.acknowledged();
        if let Some(point) = point {
            // Maintenance may reach its point before the first client does: what it is to work on is there beforehand.
            load_until_acknowledged(&server, &ledger, round).await;
            server.stop().await.unwrap();
            server.set_env(settings(point, Armed::Yes));
            server.spawn().unwrap();
        }
        if server.wait_ready().await.is_ok() {
            load_until_dark(&mut server, &mount, &ledger, round, point).await;
        } else {
            // It has died while starting; anything else is a failure to start.
            assert!(server.try_wait().unwrap().is_some(), "the server does not start");
            mount.cut_power().unwrap();
            server.kill().unwrap();
        }
        assert!(ledger.acknowledged() > before, "round {round} acknowledged nothing");
        mount = remount(mount, &mount_point, &image);
        server.set_env(point.map_or_else(Vec::new, |point| settings(point, Armed::No)));
        server.launch().await.unwrap();
        ledger.verify(&server.client().unwrap()).await.unwrap();
        if point.and_then(lost_drive).is_some() {
            sound::heal(&server).await.unwrap();
        }
    }
    sound::wait_complete(&server, drives / 3).await.unwrap();
    sound::scrub(&server).await.unwrap();
    assert!(ledger.acknowledged() > ACKNOWLEDGED_MIN);
    drop(server);
    drop(mount);
}

/// Whether a server is to die at the point.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Armed {
    Yes,
    No,
}

/// A short grace; small volumes and an impatient janitor, for the work that nobody waits for, but where a heal is to find something.
fn settings(point: &str, armed: Armed) -> Vec<(String, String)> {
    let hurried = [("GRANARY_MAINTENANCE_INTERVAL_MS", "100"), ("GRANARY_VOLUME_LIMIT_BYTES", "4194304")];
    let hurried = hurried.into_iter().filter(|_| !is_heal(point));
    // What a heal put on a drive before the power failed is garbage if the next one chose another drive.
    let grace = ("GRANARY_GRACE_MS", "300");
    let armed = (armed == Armed::Yes).then_some(("GRANARY_CRASH_POINT", point));
    std::iter::once(grace)
        .chain(hurried)
        .chain(armed)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn is_heal(point: &str) -> bool {
    point.starts_with("heal.") || point.starts_with("adopt.")
}

/// The drive that has to be lost for the point to be passed: one with a copy of the metadata, or one with shards alone.
fn lost_drive(point: &str) -> Option<usize> {
    if is_heal(point) {
        return Some(4);
    }
    point.contains("snapshot").then_some(1)
}

async fn load_until_acknowledged(server: &Server, ledger: &Arc<Ledger>, seed: u64) {
    let (enough, deadline) = (ledger.acknowledged() + ACKNOWLEDGED_MIN, Instant::now() + PATIENCE);
    let load = Load::start(&server.client().unwrap(), ledger, WORKERS, seed, OnFailure::Fail);
    while ledger.acknowledged() < enough {
        assert!(Instant::now() < deadline, "the load does not get on\n{}", server.log_tail());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    load.finish().await.unwrap();
}

async fn load_until_dark(
    server: &mut Server,
    mount: &Mount,
    ledger: &Arc<Ledger>,
    seed: u64,
    point: Option<&str>,
) {
    let before = ledger.acknowledged();
    let mut load = Load::start(&server.client().unwrap(), ledger, WORKERS, seed, OnFailure::Stop);
    match point {
        None => {
            tokio::time::sleep(Duration::from_millis(700 + 300 * seed)).await;
            load.goes_on(before).await.unwrap();
        }
        Some(point) => wait_death(server, point).await,
    }
    match point {
        None => cut_power(server, mount, seed).await,
        Some(_) => mount.cut_power().unwrap(),
    }
    load.finish().await.unwrap();
}

/// In every other round the server has calls under way when the power goes, and is told nothing any more: where the kernel stops a file
/// system in the middle of a flush, that one may end well, though what it was to flush is lost. In the others the server
/// goes on with drives that fail, and what it answers then must not have been acknowledged falsely.
async fn cut_power(server: &mut Server, mount: &Mount, round: u64) {
    let calls = if round.is_multiple_of(2) { Calls::UnderWay } else { Calls::Ended };
    server.freeze_with(calls).await.unwrap();
    mount.cut_power().unwrap();
    if calls == Calls::Ended {
        server.thaw().unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    server.kill().unwrap();
}

/// Provokes the point until the server has died at it.
async fn wait_death(server: &mut Server, point: &str) {
    let deadline = Instant::now() + PATIENCE;
    if let Some(drive) = lost_drive(point) {
        tokio::time::sleep(Duration::from_millis(700)).await;
        Harm::Emptied.inflict(&server.drive_paths()[drive], &mut Choices::new(1)).unwrap();
    }
    let command: &[&str] = if lost_drive(point).is_some() { &["heal"] } else { &["volume", "compact"] };
    while server.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "{point} was not reached\n{}", server.log_tail());
        // It may die while it is told what to do.
        server.admin_output(command).await.unwrap();
    }
    server.kill().unwrap();
}

fn remount(mount: Mount, mount_point: &Path, image: &Path) -> Mount {
    drop(mount);
    Mount::ext4(mount_point, image).unwrap()
}
