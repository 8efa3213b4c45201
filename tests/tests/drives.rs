//! On 4+2, any two drives may be lost in any way, with the metadata on them, under load and across restarts: every byte is
//! served right, writes go on, `heal` brings every shard back, and `scrub` then finds nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use granary_tests::census::Harm;
use granary_tests::content::{Choices, seeded_bytes};
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::{Server, ServerConfig, sound};

const PARITY: usize = 2;
const WORKERS: u64 = 8;
const LOAD_TIME: Duration = Duration::from_millis(1500);

/// Two drives, and what happens to each.
type Pair = [(usize, Harm); 2];

#[tokio::test]
async fn two_removed_drives_cost_nothing() {
    survive(six(), &both(Harm::Removed, [(0, 1), (2, 5)])).await;
}

#[tokio::test]
async fn two_emptied_drives_cost_nothing() {
    survive(six(), &both(Harm::Emptied, [(0, 5), (3, 4)])).await;
}

#[tokio::test]
async fn two_truncated_drives_cost_nothing() {
    survive(six(), &both(Harm::Truncated, [(0, 2), (1, 4)])).await;
}

#[tokio::test]
async fn two_bit_flipped_drives_cost_nothing() {
    survive(six(), &both(Harm::BitFlipped, [(0, 3), (1, 5)])).await;
}

/// On more drives than the code is wide, which the operator chose.
#[tokio::test]
async fn one_removed_and_one_bit_flipped_drive_of_eight_cost_nothing() {
    let config = ServerConfig { erasure: Some("4+2".to_owned()), ..ServerConfig::drives(8) };
    survive(config, &[[(4, Harm::Removed), (0, Harm::BitFlipped)]]).await;
}

fn six() -> ServerConfig {
    ServerConfig::drives(6)
}

fn both(harm: Harm, pairs: [(usize, usize); 2]) -> [Pair; 2] {
    pairs.map(|(first, second)| [(first, harm), (second, harm)])
}

/// Does the harm to each pair in turn, on one server, healing in between: so the second pair proves
/// that the first heal wrote real shards.
async fn survive(config: ServerConfig, pairs: &[Pair]) {
    let mut server = Server::start(config).await.unwrap();
    server.client().unwrap().create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let mut choices = Choices::new(pairs[0][1].1 as u64);
    load_for(&server, &ledger, LOAD_TIME, choices.next_u64()).await;
    put_large(&server).await;
    for pair in pairs {
        eprintln!("harming drives {pair:?}");
        let client = server.client().unwrap();
        let load = Load::start(&client, &ledger, WORKERS, choices.next_u64(), OnFailure::Fail);
        tokio::time::sleep(LOAD_TIME / 2).await;
        for (drive, harm) in pair {
            harm.inflict(&server.drive_paths()[*drive], &mut choices).unwrap();
        }
        tokio::time::sleep(LOAD_TIME).await;
        load.finish().await.unwrap();
        verify(&server, &ledger).await;

        server.kill_and_restart().await.unwrap();
        verify(&server, &ledger).await;
        load_for(&server, &ledger, LOAD_TIME / 2, choices.next_u64()).await;
        server.stop_and_restart().await.unwrap();
        verify(&server, &ledger).await;

        // All shards are physically there again, and sound.
        sound::heal(&server).await.unwrap();
        sound::wait_complete(&server, PARITY).await.unwrap();
        sound::scrub(&server).await.unwrap();
        verify(&server, &ledger).await;
    }
}

async fn load_for(server: &Server, ledger: &Arc<Ledger>, time: Duration, seed: u64) {
    let load = Load::start(&server.client().unwrap(), ledger, WORKERS, seed, OnFailure::Fail);
    tokio::time::sleep(time).await;
    load.finish().await.unwrap();
}

/// One object of many full stripes, outside the ledger's prefix listing but in its own bucket.
async fn put_large(server: &Server) {
    let client = server.client().unwrap();
    client.create_bucket().bucket("large").send().await.unwrap();
    let body = ByteStream::from(seeded_bytes(99, 24 << 20));
    client.put_object().bucket("large").key("large").body(body).send().await.unwrap();
}

async fn verify(server: &Server, ledger: &Ledger) {
    let client = server.client().unwrap();
    ledger.verify(&client).await.unwrap();
    let got = client.get_object().bucket("large").key("large").send().await.unwrap();
    assert!(
        got.body.collect().await.unwrap().to_vec() == seeded_bytes(99, 24 << 20),
        "the large object differs"
    );
}
