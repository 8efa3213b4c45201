//! Dies at every named crash point and recovers: everything acknowledged is there, nothing
//! half-written is visible. A point that is never reached fails the test.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::panic,
    reason = "tests"
)]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use granary_tests::census::Harm;
use granary_tests::content::Choices;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::server::binary;
use granary_tests::{Server, ServerConfig};

const WORKERS: u64 = 8;
const DEATH_DEADLINE: Duration = Duration::from_secs(40);
/// How long the load runs alone before anything is provoked.
const QUIET: Duration = Duration::from_millis(700);

/// Small volumes and an impatient janitor, so that sealing, compaction and reclaiming happen within seconds.
const SETTINGS: [(&str, &str); 3] = [
    ("GRANARY_GRACE_MS", "300"),
    ("GRANARY_MAINTENANCE_INTERVAL_MS", "100"),
    ("GRANARY_VOLUME_LIMIT_BYTES", "4194304"),
];

#[tokio::test]
async fn every_crash_point_recovers() {
    let points = crash_points();
    let chosen = std::env::var_os("GRANARY_TEST_POINT").is_some();
    assert!(points.len() >= if chosen { 1 } else { 25 }, "only {points:?}");
    let mut failures = Vec::new();
    for point in &points {
        let started = Instant::now();
        match die_and_recover(point).await {
            Ok(()) => eprintln!("{point}: recovered, in {:.1} s", started.elapsed().as_secs_f64()),
            Err(failure) => {
                eprintln!("{point}: {failure:#}");
                failures.push(point);
            }
        }
    }
    assert!(failures.is_empty(), "{failures:?} of {} crash points failed; see above", points.len());
}

/// The registry of the binary itself, so that a new point cannot be forgotten here.
fn crash_points() -> Vec<String> {
    let output = Command::new(binary().unwrap()).args(["debug", "crash-points"]).output().unwrap();
    assert!(
        output.status.success(),
        "granary debug crash-points: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let only = std::env::var("GRANARY_TEST_POINT").unwrap_or_default();
    let points = String::from_utf8(output.stdout).unwrap();
    // Walks of lifecycles, moves between tiers, warm copies, moves of shards, recoveries and fail-overs die in tests of their own: they
    // need rules, disks, nodes, and no server.
    let elsewhere = |point: &&str| {
        let parts = ["lifecycle.", "tier.", "warm.", "move.", "recover.", "fail_over."];
        parts.iter().any(|part| point.starts_with(part))
    };
    let here = points.lines().filter(|point| !elsewhere(point));
    here.filter(|point| point.contains(&only)).map(str::to_owned).collect()
}

/// The passes to die at: the first, and, where every write passes, one in the thick of it.
fn passes(point: &str) -> &'static [u32] {
    let is_rare = ["snapshot", "rebuild", "volume.", "compact.", "reclaim.", "heal."];
    // Both copies prepare a segment at start; how often one is put to use depends on how much is logged.
    if point.contains("spare") {
        return if point.ends_with("flush") { &[1, 4] } else { &[1] };
    }
    if is_rare.iter().any(|part| point.contains(part)) { &[1] } else { &[1, 25] }
}

/// What makes a server pass a point that a load alone does not reach: the loss of a drive.
fn provocation(point: &str) -> Option<(usize, Harm)> {
    match point {
        // The first drive holds the database, the next two its copies.
        _ if point.contains("rebuild") => Some((0, Harm::Removed)),
        _ if point.contains("snapshot") => Some((1, Harm::Emptied)),
        _ if is_heal(point) => Some((4, Harm::Emptied)),
        _ => None,
    }
}

fn settings(point: &str, pass: Option<u32>) -> Vec<(String, String)> {
    // Compaction would move everything off the lost drive before it can be healed.
    let wanted = SETTINGS.iter().filter(|_| !is_heal(point));
    let fixed = wanted.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let armed = pass.map(|pass| ("GRANARY_CRASH_POINT".to_owned(), format!("{point}:{pass}")));
    fixed.chain(armed).collect()
}

fn is_heal(point: &str) -> bool {
    point.starts_with("heal.")
}

async fn die_and_recover(point: &str) -> Result<()> {
    let config = ServerConfig { env: settings(point, None), ..ServerConfig::drives(6) };
    let mut server = Server::start(config).await?;
    server.client()?.create_bucket().bucket(BUCKET).send().await?;
    let ledger = Arc::new(Ledger::default());
    for pass in passes(point) {
        server.stop().await?;
        server.set_env(settings(point, Some(*pass)));
        server.spawn()?;
        if server.wait_ready().await.is_ok() {
            die_under_load(&mut server, point, &ledger).await?;
        } else {
            // It has died while starting; anything else is a failure to start.
            ensure!(server.try_wait()?.is_some(), "the server does not start");
            server.kill()?;
        }
        server.set_env(settings(point, None));
        server.launch().await?;
        ledger.verify(&server.client()?).await?;
    }
    Ok(())
}

async fn die_under_load(server: &mut Server, point: &str, ledger: &Arc<Ledger>) -> Result<()> {
    let load = Load::start(&server.client()?, ledger, WORKERS, 1, OnFailure::Stop);
    let deadline = Instant::now() + DEATH_DEADLINE;
    tokio::time::sleep(QUIET).await;
    if let Some((drive, harm)) = provocation(point) {
        harm.inflict(&server.drive_paths()[drive], &mut Choices::new(1))?;
    }
    while server.try_wait()?.is_none() {
        ensure!(Instant::now() < deadline, "never reached\n{}", server.log_tail());
        // Compaction would move everything off the volumes that a heal is to rebuild.
        let commands: &[&[&str]] =
            if is_heal(point) { &[&["heal"]] } else { &[&["volume", "compact"], &["heal"]] };
        // The server may die while it is told what to do, so that a command may fail; its death is what counts.
        for command in commands {
            server.admin_output(command).await?;
        }
    }
    server.kill()?;
    load.finish().await
}
