//! Dies at every named crash point and recovers: everything acknowledged is there and whole on every drive, nothing
//! half-written is visible or takes room. A point that is never reached fails the test.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::panic,
    reason = "tests"
)]

use std::fs::File;
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use granary_tests::census::{Harm, files_below, shard_files};
use granary_tests::content::Choices;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::server::binary;
use granary_tests::{Server, ServerConfig, sound};

const WORKERS: u64 = 8;
const DEATH_DEADLINE: Duration = Duration::from_mins(2);
const PARITY: usize = 2;
/// A volume that was never opened.
const UNKNOWN_VOLUME: &str = "abababababababababababababababab";
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

/// The passes to die at: the first, where drives are gone through one in between, and, where every write passes, one in the
/// thick of it.
fn passes(point: &str) -> &'static [u32] {
    match point {
        "format.after_identity" | "secret_file.before_rename" | "secret_file.after_rename" => return &[1, 4],
        "format.after_generation" | "volume.after_file" | "reclaim.after_file" | "ends.after_rename" => {
            return &[3];
        }
        _ => {}
    }
    let is_rare = [
        "snapshot",
        "rebuild",
        "volume.",
        "compact.",
        "reclaim.",
        "quarantine.",
        "heal.",
        "adopt.",
        "ends.",
        "part.",
    ];
    // Both copies prepare a segment at start; how often one is put to use depends on how much is logged.
    if point.contains("spare") {
        return if point.ends_with("flush") { &[1, 4] } else { &[1] };
    }
    if is_rare.iter().any(|part| point.contains(part)) { &[1] } else { &[1, 25] }
}

/// Points that are passed when the drives of a new store are made, and never again.
fn is_first_start(point: &str) -> bool {
    point.starts_with("format.") || point.starts_with("secret_file.")
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

/// Points on the way of a heal.
fn is_heal(point: &str) -> bool {
    point.starts_with("heal.") || point.starts_with("adopt.")
}

/// What must lie on a drive before the start, for the server to pass the point.
fn lay_out(server: &Server, point: &str) -> Result<()> {
    let drive = &server.drive_paths()[3];
    match point {
        "quarantine.after_rename" => {
            let folder = drive.join("volumes").join(&UNKNOWN_VOLUME[..2]);
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join(format!("{UNKNOWN_VOLUME}-00.shard")), [7; 5000])?;
        }
        "reclaim.after_cut" => {
            for file in shard_files(drive)? {
                File::options().append(true).open(file)?.write_all(&[7; 5000])?;
            }
        }
        _ => {}
    }
    Ok(())
}

async fn die_and_recover(point: &str) -> Result<()> {
    if is_first_start(point) {
        for pass in passes(point) {
            die_in_first_start(point, *pass).await?;
        }
        return Ok(());
    }
    let config = ServerConfig { env: settings(point, None), ..ServerConfig::drives(6) };
    let mut server = Server::start(config).await?;
    server.client()?.create_bucket().bucket(BUCKET).send().await?;
    let ledger = Arc::new(Ledger::default());
    if point == "reclaim.after_cut" {
        load_for_a_while(&server, &ledger).await?;
    }
    for pass in passes(point) {
        server.stop().await?;
        lay_out(&server, point)?;
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
    ensure_sound(&server, point).await
}

/// The first start of a new store dies, and the next one goes on with it.
async fn die_in_first_start(point: &str, pass: u32) -> Result<()> {
    let armed = ServerConfig { env: settings(point, Some(pass)), ..ServerConfig::drives(6) };
    let mut server = Server::prepare(armed)?;
    server.spawn()?;
    ensure!(!server.wait_exit(DEATH_DEADLINE).await?.success(), "it ended by itself");
    server.set_env(settings(point, None));
    server.launch().await?;
    server.client()?.create_bucket().bucket(BUCKET).send().await?;
    let ledger = Arc::new(Ledger::default());
    load_for_a_while(&server, &ledger).await?;
    server.stop_and_restart().await?;
    ledger.verify(&server.client()?).await?;
    ensure_sound(&server, point).await
}

async fn load_for_a_while(server: &Server, ledger: &Arc<Ledger>) -> Result<()> {
    let load = Load::start(&server.client()?, ledger, WORKERS, 2, OnFailure::Fail);
    tokio::time::sleep(QUIET).await;
    load.finish().await
}

/// Nothing is missing or rotten after the recovery, and nothing that was left behind takes room.
async fn ensure_sound(server: &Server, point: &str) -> Result<()> {
    if provocation(point).is_some() {
        sound::heal(server).await?;
    }
    // Without the small volumes and short times nothing is given back within a test.
    if !is_heal(point) {
        sound::wait_reclaimed(server, BUCKET).await?;
    }
    sound::wait_complete(server, PARITY).await?;
    if point == "quarantine.after_rename" {
        let kept = files_below(&server.drive_paths()[3].join("quarantine"))?;
        let kept: Vec<_> =
            kept.iter().filter(|file| file.to_string_lossy().contains(UNKNOWN_VOLUME)).collect();
        ensure!(
            kept.len() == 1 && std::fs::read(kept[0])? == [7; 5000],
            "the unknown file is not kept: {kept:?}"
        );
    }
    sound::scrub(server).await
}

async fn die_under_load(server: &mut Server, point: &str, ledger: &Arc<Ledger>) -> Result<()> {
    // It comes to that by itself. A load and compactions would only take the volumes away whose files are to be cut.
    if point == "reclaim.after_cut" {
        ensure!(!server.wait_exit(DEATH_DEADLINE).await?.success(), "it ended by itself");
        return Ok(());
    }
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
