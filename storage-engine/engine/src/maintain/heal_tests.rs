use std::path::Path;

use granary_drive::Resting;
use granary_types::{DriveClass, StorageClass, UnixMillis};
use tokio::runtime::Handle;

use super::*;
use crate::Engine;
use crate::api::DeleteEntry;
use crate::maintain::watch;
use crate::sample_store::{make, place, put_large};
use crate::volume::all_rows;

/// A store of three drives that holds an object, and the volume which that lies in. One of the drives was emptied, and is out of use.
async fn with_an_emptied_drive(dir: &Path) -> (Engine, VolumeRow) {
    let engine = make(dir, &[DriveClass::Ssd; 3]).await;
    put_large(&engine, StorageClass::Standard).await;
    let rows = all_rows(engine.inner.store.as_ref()).await.unwrap();
    let row = rows.into_iter().find(|row| row.live_bytes > 0).unwrap();
    let lost = dir.join("d2");
    while std::fs::remove_dir_all(&lost).is_err() {}
    std::fs::create_dir(&lost).unwrap();
    watch::watch_drives(&engine.inner, Resting::Skip).await;
    (engine, row)
}

/// The background heals a new drive as soon as it is there. The command that put it there waited for that and then read all of the
/// volume once more: it asked whether the drives of the row were there that it had met before.
#[tokio::test(flavor = "multi_thread")]
async fn who_waited_for_a_heal_did_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, row) = with_an_emptied_drive(dir.path()).await;
    let inner = &engine.inner;
    let asked = Asked::Since(Instant::now());
    watch::adopt_empty_drives(inner).await.unwrap();
    let first = heal_volume(inner, row.clone(), asked, |_| {}).await.unwrap();
    let second = heal_volume(inner, row, asked, |_| {}).await.unwrap();
    assert_eq!((first.healed, second), (1, first), "nothing was left to heal for one that read it again");
    engine.close().await.unwrap();
}

/// On one machine compaction may free a volume while it is healed, which then was an error: the heal told that the volume had been
/// left out, of which nothing was left.
#[tokio::test(flavor = "multi_thread")]
async fn a_heal_failed_because_its_volume_was_freed_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, row) = with_an_emptied_drive(dir.path()).await;
    let inner = &engine.inner;
    let id = row.volume.id;
    watch::adopt_empty_drives(inner).await.unwrap();
    let (bucket, key) = place();
    let entry =
        DeleteEntry { key, version: None, bypass: Default::default(), conditions: Default::default() };
    engine.delete_object(&bucket, entry).await.unwrap();
    let mut freed = false;
    let in_the_middle = |_| {
        if !freed {
            let free = inner.store.free_volume(id, UnixMillis::now());
            freed = tokio::task::block_in_place(|| Handle::current().block_on(free)).unwrap();
        }
    };
    let healed = heal_volume(inner, row, Asked::Since(Instant::now()), in_the_middle).await.unwrap();
    assert_eq!((freed, healed), (true, Healed::default()));
    assert!(inner.damage.columns(id).is_empty(), "what is freed would be healed again and again");
    engine.close().await.unwrap();
}
