//! The metadata is made anew after a kill that left some columns of a stripe, or some files of a volume, and not the others.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use granary_tests::census::{files_below, shard_files};
use granary_tests::content::seeded_bytes;
use granary_tests::server::binary;
use granary_tests::{PATIENCE, Server, ServerConfig};
use serde_json::Value;

const BUCKET: &str = "torn";

/// Without backups, and without background work.
fn config() -> ServerConfig {
    ServerConfig::drives(6)
        .env("GRANARY_METADATA_BACKUPS_KEPT", "0")
        .env("GRANARY_MAINTENANCE_INTERVAL_MS", "3600000")
}

fn lengths(drives: &[PathBuf]) -> BTreeMap<PathBuf, u64> {
    let files = drives.iter().flat_map(|drive| shard_files(drive).unwrap());
    files.map(|file| (file.clone(), std::fs::metadata(&file).unwrap().len())).collect()
}

fn forget_metadata(drive: &Path) {
    std::fs::remove_dir_all(drive.join("meta")).unwrap();
    let _none = std::fs::remove_dir_all(drive.join("backups"));
    let _none = std::fs::remove_file(drive.join("committed-ends.json"));
}

async fn recovered(drives: &[PathBuf]) -> Value {
    let mut command = Command::new(binary().unwrap());
    command.args(["--json", "recover", "--from-drives", "--apply", "--candidates", "suggested"]);
    for drive in drives {
        command.arg("--data").arg(drive);
    }
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(lines.lines().last().unwrap()).unwrap()
}

/// A heal could never finish: what nobody had been told to be stored counted as lost.
#[tokio::test]
async fn what_was_being_written_when_the_process_was_killed_was_committed_and_could_not_be_healed() {
    let mut server = Server::start(config()).await.unwrap();
    let (client, drives) = (server.client().unwrap(), server.drive_paths().to_vec());
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let body = seeded_bytes(1, 3 << 20);
    let put = client.put_object().bucket(BUCKET).key("kept").body(ByteStream::from(body.clone()));
    put.send().await.unwrap();
    let before = lengths(&drives);
    let created = client.create_multipart_upload().bucket(BUCKET).key("begun").send().await.unwrap();
    let part = client.upload_part().bucket(BUCKET).key("begun").part_number(1);
    let part = part.upload_id(created.upload_id().unwrap()).body(ByteStream::from(seeded_bytes(2, 5 << 20)));
    part.send().await.unwrap();
    server.kill().unwrap();

    // The volume of large objects has got the most.
    let after = lengths(&drives);
    let begun = |(file, length): (&PathBuf, &u64)| Some((file.clone(), *before.get(file)?, *length));
    let mut grown: Vec<_> = after.iter().filter_map(begun).collect();
    grown.retain(|(_, before, after)| after - before > 1 << 20);
    assert_eq!(grown.len(), 6, "{grown:?}");
    // A column of data: one of parity alone tells nothing, and raised no end.
    let is_left = |file: &Path| file.to_string_lossy().ends_with("-00.shard");
    for (file, length, _) in grown.iter().filter(|(file, ..)| !is_left(file)) {
        std::fs::File::options().write(true).open(file).unwrap().set_len(*length).unwrap();
    }
    drives.iter().for_each(|drive| forget_metadata(drive));

    let ran = recovered(&drives).await;
    let volumes = &ran["report"]["volumes"];
    assert!(volumes["torn_stripes"].as_u64().unwrap() > 0, "{volumes}");
    assert_eq!(volumes["lost_stripes"], 0);
    server.launch().await.unwrap();
    server.admin(&["heal"]).await.unwrap();
    let client = server.client().unwrap();
    let got = client.get_object().bucket(BUCKET).key("kept").send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().into_bytes(), body);
}

/// How many files are in quarantine, on all drives.
fn quarantined(drives: &[PathBuf]) -> usize {
    drives.iter().map(|drive| files_below(&drive.join("quarantine")).unwrap().len()).sum()
}

/// A heal found stripes that could not be repaired, until the next backup of the metadata allowed for freeing the volume again.
#[tokio::test]
async fn a_volume_whose_files_were_being_removed_was_damaged_for_good() {
    let small = ServerConfig::drives(6)
        .env("GRANARY_METADATA_BACKUPS_KEPT", "0")
        .env("GRANARY_VOLUME_LIMIT_BYTES", "1048576");
    let mut server =
        Server::start(small.clone().env("GRANARY_MAINTENANCE_INTERVAL_MS", "3600000")).await.unwrap();
    let (client, drives) = (server.client().unwrap(), server.drive_paths().to_vec());
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let body = seeded_bytes(1, 3 << 20);
    for key in ["deleted-1", "deleted-2", "deleted-3", "deleted-4", "kept"] {
        let put = client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body.clone()));
        put.send().await.unwrap();
    }
    for number in 1..=4 {
        client.delete_object().bucket(BUCKET).key(format!("deleted-{number}")).send().await.unwrap();
    }
    server.stop().await.unwrap();
    let janitor = small.env("GRANARY_GRACE_MS", "100").env("GRANARY_MAINTENANCE_INTERVAL_MS", "100");
    server.set_env(janitor.clone().env("GRANARY_CRASH_POINT", "reclaim.after_file:4").env);
    server.spawn().unwrap();
    server.wait_exit(PATIENCE).await.unwrap();
    drives.iter().for_each(|drive| forget_metadata(drive));

    let ran = recovered(&drives).await;
    let volumes = &ran["report"]["volumes"];
    assert_eq!((&volumes["left_out"], &volumes["lost_stripes"]), (&1.into(), &0.into()), "{volumes}");
    server.set_env(janitor.env);
    server.launch().await.unwrap();
    server.admin(&["heal"]).await.unwrap();
    let begun = Instant::now();
    while quarantined(&drives) < 2 {
        assert!(begun.elapsed() < PATIENCE, "what is left of the volume stays where it is");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let client = server.client().unwrap();
    let got = client.get_object().bucket(BUCKET).key("kept").send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().into_bytes(), body);
}
