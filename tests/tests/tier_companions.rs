//! Moves between tiers where keys sort otherwise than they were written, in the real binary: a block of small objects is read
//! once, whichever of them the walk meets first.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{LifecycleRuleAndOperator, LifecycleRuleFilter, Tag, TransitionStorageClass};
use granary_tests::content::seeded_bytes;
use granary_tests::tiers::{config, count_classes, set_rules, wait, wait_lives};
use granary_tests::{PATIENCE, Server};
use tokio::task::JoinSet;

const CLIENTS: usize = 64;
const OBJECTS: u64 = 2_400;
const OBJECT_BYTES: usize = 3_000;
/// A walk moves what it has met when it is through with a prefix: so many batches share the blocks.
const PREFIXES: u64 = 6;

/// What is written one after the other lies below one prefix after the other; of all, some move by their tags alone, and some
/// do not move.
fn key(number: u64) -> String {
    match number % 10 {
        0 => format!("kept/{number}"),
        1 => format!("tagged/{number}"),
        _ => format!("moved/{}/{number}", number % PREFIXES),
    }
}

/// A quarter of those that a rule chooses by their tags.
fn has_tag_of_rule(number: u64) -> bool {
    number.is_multiple_of(4)
}

fn moves(number: u64) -> bool {
    match number % 10 {
        0 => false,
        1 => has_tag_of_rule(number / 10),
        _ => true,
    }
}

async fn put(client: &Client, bucket: &str, number: u64) {
    let body = ByteStream::from(seeded_bytes(number, OBJECT_BYTES));
    let tags = (number % 10 == 1).then(|| format!("moves={}", has_tag_of_rule(number / 10)));
    let put = client.put_object().bucket(bucket).key(key(number)).set_tagging(tags);
    put.body(body).send().await.unwrap();
}

/// Reads it, and tells whether the class is the one that it should have.
async fn is_right(client: &Client, bucket: &str, number: u64) -> bool {
    let got = client.get_object().bucket(bucket).key(key(number)).send().await.unwrap();
    let has_moved = got.storage_class().is_some_and(|class| class.as_str() == "GLACIER_IR");
    let bytes = got.body.collect().await.unwrap().into_bytes();
    bytes == seeded_bytes(number, OBJECT_BYTES) && has_moved == moves(number)
}

/// Does something with every object, by some clients at once.
async fn each<F: Future<Output = ()> + Send>(act: impl Fn(u64) -> F + Send + Sync + 'static) {
    let (act, mut clients) = (Arc::new(act), JoinSet::new());
    for client in 0..CLIENTS {
        let act = Arc::clone(&act);
        clients.spawn(async move {
            for number in (0..OBJECTS).skip(client).step_by(CLIENTS) {
                act(number).await;
            }
        });
    }
    clients.join_all().await;
}

/// Writes everything to both buckets, so that they share their blocks, or have as many.
async fn put_all(client: &Client, buckets: [&'static str; 2]) {
    for bucket in buckets {
        client.create_bucket().bucket(bucket).send().await.unwrap();
    }
    let writer = client.clone();
    each(move |number| {
        let client = writer.clone();
        async move {
            for bucket in buckets {
                put(&client, bucket, number).await;
            }
        }
    })
    .await;
    // All of it is to be due when a walk begins, after a day of a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
}

/// Lets rules with these prefixes, and one by tags, move what fits them, and checks everything.
async fn move_below(client: &Client, bucket: &'static str, prefixes: Vec<String>) {
    let filter = |prefix: &str| LifecycleRuleAndOperator::builder().prefix(prefix);
    let mut filters: Vec<_> = prefixes.iter().map(|prefix| filter(prefix)).collect();
    filters.push(filter("tagged/").tags(Tag::builder().key("moves").value("true").build().unwrap()));
    let filters = filters.into_iter().map(|filter| filter.object_size_greater_than(1).build());
    let filters = filters.map(|filter| LifecycleRuleFilter::builder().and(filter).build()).collect();
    set_rules(client, bucket, filters, TransitionStorageClass::GlacierIr).await.unwrap();
    let expected = (0..OBJECTS).filter(|number| moves(*number)).count();
    wait(bucket, PATIENCE, async || {
        let [_, moved] = count_classes(client, bucket, ["STANDARD", "GLACIER_IR"]).await?;
        Ok(moved >= expected)
    })
    .await
    .unwrap();
    let reader = client.clone();
    each(move |number| {
        let client = reader.clone();
        async move { assert!(is_right(&client, bucket, number).await, "{}", key(number)) }
    })
    .await;
}

#[tokio::test]
async fn a_block_is_read_once_however_many_batches_move_something_of_it() {
    let server = Server::start(config()).await.unwrap();
    let client = server.client().unwrap();
    let blocks_read = async || server.metric("granary_lifecycle_blocks_read_total").await.unwrap();
    put_all(&client, ["together", "apart"]).await;
    move_below(&client, "together", vec!["moved/".to_owned()]).await;
    let together = blocks_read().await;
    move_below(&client, "apart", (0..PREFIXES).map(|n| format!("moved/{n}/")).collect()).await;
    let apart = blocks_read().await - together;
    // Where the objects of both lie is not quite the same.
    assert!(apart < 1.5 * together, "{apart} blocks were read, and {together} where one batch moved all");
    let moved = 2 * (0..OBJECTS).filter(|number| moves(*number)).count() as u64;
    let series = "granary_lifecycle_total{outcome=\"transitioned\"}";
    assert!((server.metric(series).await.unwrap() - moved as f64).abs() < 0.5, "each moved once");
    let (hdd, length) = (moved * OBJECT_BYTES as u64, OBJECT_BYTES as u64);
    wait_lives(&server, 2 * OBJECTS * length - hdd, hdd..=hdd).await.unwrap();
}
