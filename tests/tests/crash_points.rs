//! Dies at every named crash point and recovers: everything acknowledged is there, nothing
//! half-written is visible. A point that the load never reaches fails the test.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::panic, reason = "tests")]

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::server::binary;
use granary_tests::{Server, ServerConfig};

const WORKERS: u64 = 8;
const DEATH_DEADLINE: Duration = Duration::from_secs(30);
/// The pass to die at: the first, and one in the thick of it.
const PASSES: [u32; 2] = [1, 25];

#[tokio::test]
async fn every_crash_point_recovers() {
    let points = crash_points();
    assert!(points.len() >= 10, "the registry lists only {points:?}");
    let mut failures = Vec::new();
    for point in &points {
        if let Err(failure) = die_and_recover(point).await {
            eprintln!("{point}: {failure:#}");
            failures.push(point);
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
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

async fn die_and_recover(point: &str) -> anyhow::Result<()> {
    let mut server = Server::start(ServerConfig::drives(6)).await?;
    server.client()?.create_bucket().bucket(BUCKET).send().await?;
    let ledger = Arc::new(Ledger::default());
    for pass in PASSES {
        server.stop().await?;
        server.set_env(vec![("GRANARY_CRASH_POINT".to_owned(), format!("{point}:{pass}"))]);
        server.spawn()?;
        let died_starting = server.wait_ready().await.is_err();
        if !died_starting {
            let load = Load::start(&server.client()?, &ledger, WORKERS, u64::from(pass), OnFailure::Stop);
            let death = server.wait_exit(DEATH_DEADLINE).await;
            load.finish().await?;
            death?;
        } else {
            server.kill()?;
        }
        eprintln!("{point}:{pass}: died with {} writes acknowledged", ledger.acknowledged());
        server.set_env(Vec::new());
        server.launch().await?;
        ledger.verify(&server.client()?).await?;
    }
    Ok(())
}
