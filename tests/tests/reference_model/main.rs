//! The real server and a small in-memory S3 are driven by the same random operations, restarts and
//! kills included, and must never disagree. The seed is printed; `GRANARY_TEST_SEED=n` replays it, and
//! `GRANARY_TEST_SECONDS` sets how long each layout runs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::print_stderr,
    reason = "tests"
)]

mod copies;
mod crashes;
mod listing;
mod model;
mod multipart;
mod objects;
mod versioned_model;
mod versions;
mod world;

use std::time::{Duration, Instant, SystemTime};

use granary_tests::ServerConfig;
use granary_tests::content::Choices;
use granary_tests::postgres::{Flushing, PostgresCluster};

use world::World;

const DEFAULT_SECONDS: u64 = 20;

#[tokio::test]
async fn one_drive_never_disagrees() {
    run("one drive", ServerConfig::drives(1)).await;
}

#[tokio::test]
async fn two_drives_never_disagree() {
    run("two drives", ServerConfig::drives(2)).await;
}

#[tokio::test]
async fn six_drives_never_disagree() {
    run("six drives", ServerConfig::drives(6)).await;
}

#[tokio::test]
async fn metadata_in_postgres_never_disagrees() {
    let database = PostgresCluster::start(Flushing::On).unwrap();
    database.create_database("granary").unwrap();
    let config = ServerConfig::drives(2).env("GRANARY_METADATA", &database.url("granary"));
    run("two drives, metadata in Postgres", config).await;
}

async fn run(layout: &str, config: ServerConfig) {
    let seed = number_from_env("GRANARY_TEST_SEED").unwrap_or_else(clock_seed);
    let seconds = number_from_env("GRANARY_TEST_SECONDS").unwrap_or(DEFAULT_SECONDS);
    eprintln!("reference model, {layout}: GRANARY_TEST_SEED={seed}");
    let mut world = World::start(config, Choices::new(seed)).await;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut steps = 0_u32;
    while Instant::now() < end {
        step(&mut world).await;
        steps += 1;
    }
    world.compare_everything().await;
    eprintln!("reference model, {layout}: {steps} steps agreed");
}

async fn step(world: &mut World) {
    match world.choices.below(278) {
        0..40 => objects::put(world).await,
        40..70 => objects::get(world).await,
        70..90 => objects::range(world).await,
        90..100 => objects::head(world).await,
        100..112 => objects::delete(world).await,
        112..118 => objects::delete_many(world).await,
        118..130 => copies::copy(world).await,
        130..150 => listing::list(world).await,
        150..156 => multipart::create(world).await,
        156..172 => multipart::put_part(world).await,
        172..180 => multipart::complete(world).await,
        180..183 => multipart::abort(world).await,
        183..187 => multipart::list(world).await,
        187..195 => objects::put_burst(world).await,
        195..197 => crashes::stop_and_restart(world).await,
        197..198 => crashes::kill_and_restart(world).await,
        198..200 => crashes::kill_amid_writes(world).await,
        200..208 => copies::copy_part(world).await,
        _ => versions::step(world).await,
    }
}

fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn clock_seed() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64
}
