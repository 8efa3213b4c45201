use bytes::Bytes;
use granary_types::{BucketName, ObjectKey};

use super::*;
use crate::api::PutOptions;
use crate::maintain::watch;
use crate::sample_body::SampleBody;
use crate::volume::all_rows;
use crate::{Engine, EngineOptions};

/// The background heals a new drive as soon as it is there. The command that put it there waited for that and then read all of the
/// volume once more: it asked whether the drives of the row were there that it had met before.
#[tokio::test(flavor = "multi_thread")]
async fn who_waited_for_a_heal_did_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let data: Vec<_> = (0..3).map(|slot| dir.path().join(format!("d{slot}"))).collect();
    let mut options = EngineOptions::new(data.clone());
    options.maintenance_interval = Duration::from_hours(1);
    let engine = Engine::open(options).await.unwrap();
    let (bucket, key) = (BucketName::new("bucket").unwrap(), ObjectKey::new("k").unwrap());
    engine.create_bucket(&bucket, "us-east-1", "root").await.unwrap();
    let mut body = SampleBody(Some(Bytes::from(vec![7; 300_000])));
    engine.put_object(&bucket, &key, PutOptions::default(), &mut body).await.unwrap();
    let inner = &engine.inner;
    let rows = all_rows(inner.store.as_ref()).await.unwrap();
    let row = rows.into_iter().find(|row| row.live_bytes > 0).unwrap();

    while std::fs::remove_dir_all(&data[2]).is_err() {}
    std::fs::create_dir(&data[2]).unwrap();
    watch::watch_drives(inner).await;
    let asked = Asked::Since(Instant::now());
    watch::adopt_empty_drives(inner).await.unwrap();
    let first = heal_volume(inner, row.clone(), asked, |_| {}).await.unwrap();
    let second = heal_volume(inner, row, asked, |_| {}).await.unwrap();
    assert_eq!((first.healed, second), (1, first), "nothing was left to heal for one that read it again");
    engine.close().await.unwrap();
}
