use granary_drive::Resting;
use granary_types::{DriveClass, StorageClass};

use super::*;
use crate::maintain::watch;
use crate::sample_store::{make, put_large};
use crate::volume::all_rows;

/// The background heals a new drive as soon as it is there. The command that put it there waited for that and then read all of the
/// volume once more: it asked whether the drives of the row were there that it had met before.
#[tokio::test(flavor = "multi_thread")]
async fn who_waited_for_a_heal_did_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let engine = make(dir.path(), &[DriveClass::Ssd; 3]).await;
    put_large(&engine, StorageClass::Standard).await;
    let inner = &engine.inner;
    let rows = all_rows(inner.store.as_ref()).await.unwrap();
    let row = rows.into_iter().find(|row| row.live_bytes > 0).unwrap();

    let lost = dir.path().join("d2");
    while std::fs::remove_dir_all(&lost).is_err() {}
    std::fs::create_dir(&lost).unwrap();
    watch::watch_drives(inner, Resting::Skip).await;
    let asked = Asked::Since(Instant::now());
    watch::adopt_empty_drives(inner).await.unwrap();
    let first = heal_volume(inner, row.clone(), asked, |_| {}).await.unwrap();
    let second = heal_volume(inner, row, asked, |_| {}).await.unwrap();
    assert_eq!((first.healed, second), (1, first), "nothing was left to heal for one that read it again");
    engine.close().await.unwrap();
}
