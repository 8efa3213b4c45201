//! Every version has a record in the blocks, and keeps it through compaction for as long as it is there.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use granary_drive::FileHeader;
use granary_metadata::{VersionKind, VolumeRow, VolumeState};
use granary_types::{BucketName, Etag, ObjectKey, PartNumber, UnixMillis, VolumeId};

use crate::api::{BucketChange, CompleteOptions, DeleteEntry, Deleted, PutOptions, UploadOptions};
use crate::maintain::{compact_volume, may_hold_records, records_in};
use crate::record::ObjectRecord;
use crate::sample_body::SampleBody;
use crate::told::{Deed, Told};
use crate::volume::all_rows;
use crate::{Engine, EngineOptions};

fn body(length: usize) -> SampleBody {
    let filled = Bytes::from(vec![7; length]);
    SampleBody(Some(filled).filter(|filled| !filled.is_empty()))
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

async fn open(dir: &Path) -> Engine {
    open_maintained(dir, Duration::from_millis(50)).await
}

async fn open_maintained(dir: &Path, maintenance_interval: Duration) -> Engine {
    Engine::open(options(dir, maintenance_interval)).await.unwrap()
}

fn options(dir: &Path, maintenance_interval: Duration) -> EngineOptions {
    let mut options = EngineOptions::new((0..6).map(|slot| dir.join(format!("d{slot}"))).collect());
    options.grace = Duration::from_millis(300);
    options.maintenance_interval = maintenance_interval;
    options
}

async fn put(engine: &Engine, name: &str, length: usize) {
    engine.put_object(&bucket(), &key(name), PutOptions::default(), &mut body(length)).await.unwrap();
}

async fn delete(engine: &Engine, name: &str) -> Deleted {
    let entry = DeleteEntry {
        key: key(name),
        version: None,
        bypass: Default::default(),
        conditions: Default::default(),
    };
    engine.delete_object(&bucket(), entry).await.unwrap()
}

async fn multipart(engine: &Engine, name: &str) {
    let (upload, _) = engine.create_upload(&bucket(), &key(name), UploadOptions::default()).await.unwrap();
    let mut parts = Vec::new();
    for number in 1..=2 {
        let number = PartNumber::new(number).unwrap();
        let mut body = body(200_000);
        let part = engine.put_part(&bucket(), &key(name), (upload, number), None, &mut body).await;
        parts.push(part.unwrap());
    }
    let options =
        CompleteOptions { parts, etag: Etag::new("etag-2"), checksum: None, conditions: Default::default() };
    engine.complete_upload(&bucket(), &key(name), upload, options).await.unwrap();
}

/// All records without bytes in volumes that are not freed, and what each tells.
async fn told(engine: &Engine) -> Vec<(ObjectRecord, Told)> {
    let mut found = Vec::new();
    for row in all_rows(engine.inner.store.as_ref()).await.unwrap() {
        if row.state == VolumeState::Freed {
            continue;
        }
        for (record, length_bytes) in records_in(&engine.inner, &row).await.unwrap() {
            if length_bytes == 0 {
                let whole = ObjectRecord::decode_all(&record, 0).unwrap();
                found.push((whole.record, whole.told.unwrap().0));
            }
        }
    }
    found
}

/// The manifests in all volumes that are not freed, by key and version.
async fn manifests(engine: &Engine) -> BTreeMap<(ObjectKey, [u8; 16]), ObjectRecord> {
    let puts = told(engine).await.into_iter().filter(|(_, told)| told.deed == Deed::Put);
    puts.map(|(record, _)| ((record.key.clone(), *record.object.version.as_bytes()), record)).collect()
}

async fn erased(engine: &Engine) -> Vec<ObjectKey> {
    let erased = told(engine).await.into_iter().filter(|(_, told)| told.deed == Deed::Erased);
    erased.map(|(record, _)| record.key).collect()
}

/// Every version has its manifest, and it tells what the row tells.
async fn assert_all_recorded(engine: &Engine, expected: &[&str]) {
    let found = manifests(engine).await;
    let id = engine.bucket(&bucket()).await.unwrap().id;
    for name in expected {
        let row = engine.inner.store.object(id, &key(name), None).await.unwrap().unwrap();
        let record = found.get(&(key(name), *row.object.version.as_bytes()));
        assert_eq!(record.map(|record| &record.object), Some(&row.object), "the manifest of {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_bytes_of_its_own_in_packed_blocks_has_a_manifest_there() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    engine.create_bucket(&bucket(), "us-east-1", "root").await.unwrap();
    put(&engine, "empty", 0).await;
    put(&engine, "large", 300_000).await;
    multipart(&engine, "parts").await;
    put(&engine, "small", 1000).await;
    assert_all_recorded(&engine, &["empty", "large", "parts"]).await;
    // Deleted for good: a record says so, as that of the object stays in its block.
    assert!(matches!(delete(&engine, "small").await, Deleted::Gone));
    assert_eq!(erased(&engine).await, [key("small")]);
    engine.change_bucket(&bucket(), BucketChange::EnableVersioning).await.unwrap();
    assert!(matches!(delete(&engine, "large").await, Deleted::Marked(_)));
    put(&engine, "empty", 0).await;
    engine.change_bucket(&bucket(), BucketChange::SuspendVersioning).await.unwrap();
    assert!(matches!(delete(&engine, "parts").await, Deleted::Marked(_)));
    assert_all_recorded(&engine, &["empty", "large", "parts"]).await;
    let markers = manifests(&engine).await;
    let markers = markers.values().filter(|record| record.object.kind == VersionKind::DeleteMarker);
    assert_eq!(markers.count(), 2);
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_outlive_the_volume_they_were_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    engine.create_bucket(&bucket(), "us-east-1", "root").await.unwrap();
    put(&engine, "small", 50_000).await;
    put(&engine, "empty", 0).await;
    put(&engine, "gone", 0).await;
    multipart(&engine, "parts").await;
    delete(&engine, "small").await;
    delete(&engine, "gone").await;
    let written: Vec<_> = all_rows(engine.inner.store.as_ref()).await.unwrap();
    let packed = written.iter().find(|row| row.live_bytes == 0).unwrap().volume.id;
    engine.close().await.unwrap();
    // Nothing lives in the volume of the manifests, and what it holds is not known after a restart.
    let engine = open(dir.path()).await;
    let begun = Instant::now();
    while engine.inner.store.volume(packed).await.unwrap().is_some_and(|row| row.state != VolumeState::Freed)
    {
        assert!(begun.elapsed() < Duration::from_mins(1), "the volume is never freed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_all_recorded(&engine, &["empty", "parts"]).await;
    let found = manifests(&engine).await;
    assert!(!found.keys().any(|(name, _)| *name == key("gone")), "a record that is not true was kept");
    // No backup knows of the deletes.
    let mut kept = erased(&engine).await;
    kept.sort();
    assert_eq!(kept, [key("gone"), key("small")]);
    // Full of records that are true, a volume is not written again and again.
    engine.inner.pool.retire_all().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let rows = all_rows(engine.inner.store.as_ref()).await.unwrap();
    assert!(rows.len() < 8, "{rows:?}");
    assert_all_recorded(&engine, &["empty", "parts"]).await;
    engine.close().await.unwrap();
}

/// Overwrites all that a volume's files hold but their headers.
fn wipe(dir: &Path, row: &VolumeRow) {
    let length = usize::try_from(row.committed_end - FileHeader::LENGTH_BYTES).unwrap();
    let id = row.volume.id.to_string();
    let files = (0..6).flat_map(|slot| files_below(&dir.join(format!("d{slot}/volumes"))));
    let is_of_volume =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).unwrap().starts_with(&id);
    let files: Vec<PathBuf> = files.filter(is_of_volume).collect();
    assert_eq!(files.len(), 6);
    for path in files {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.write_all_at(&vec![0; length], FileHeader::LENGTH_BYTES).unwrap();
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

async fn state_of(engine: &Engine, volume: VolumeId) -> VolumeState {
    engine.inner.store.volume(volume).await.unwrap().unwrap().state
}

/// A sealed volume in which nothing lives, and something was written.
async fn dead_volume(engine: &Engine) -> VolumeRow {
    let rows = all_rows(engine.inner.store.as_ref()).await.unwrap();
    let is_dead = |row: &VolumeRow| row.live_bytes == 0 && row.committed_end > FileHeader::LENGTH_BYTES;
    let row = rows.into_iter().find(is_dead).unwrap();
    assert_eq!(row.state, VolumeState::Sealed);
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_was_freed_though_the_record_of_a_delete_in_it_could_not_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    engine.create_bucket(&bucket(), "us-east-1", "root").await.unwrap();
    put(&engine, "small", 50_000).await;
    delete(&engine, "small").await;
    engine.close().await.unwrap();
    // Nothing is freed in the background: the test does it.
    let engine = open_maintained(dir.path(), Duration::from_hours(1)).await;
    let row = &dead_volume(&engine).await;
    let id = row.volume.id;
    wipe(dir.path(), row);
    assert!(may_hold_records(&engine.inner, row).await.unwrap(), "nothing says that it holds none");
    assert_eq!(compact_volume(&engine.inner, row).await.unwrap(), 0);
    assert_eq!(state_of(&engine, id).await, VolumeState::Sealed);
    // The backup that is made at the start was not begun later, or not by enough.
    let begun = Instant::now();
    while engine.inner.trusted_backup_ms().await.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(20), "no backup is made");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    compact_volume(&engine.inner, row).await.unwrap();
    assert_eq!(state_of(&engine, id).await, VolumeState::Sealed);
    // As if it had been met long before the backup.
    engine.inner.pool.records.note_unread(id, UnixMillis(0));
    compact_volume(&engine.inner, row).await.unwrap();
    assert_eq!(state_of(&engine, id).await, VolumeState::Freed);
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_cannot_be_read_stayed_for_ever_where_no_backups_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path(), Duration::from_hours(1));
    options.backups_kept = 0;
    let engine = Engine::open(options.clone()).await.unwrap();
    engine.create_bucket(&bucket(), "us-east-1", "root").await.unwrap();
    put(&engine, "small", 50_000).await;
    delete(&engine, "small").await;
    engine.close().await.unwrap();
    let engine = Engine::open(options).await.unwrap();
    let row = dead_volume(&engine).await;
    wipe(dir.path(), &row);
    compact_volume(&engine.inner, &row).await.unwrap();
    assert_eq!(state_of(&engine, row.volume.id).await, VolumeState::Freed);
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_manifest_cannot_be_written_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    engine.create_bucket(&bucket(), "us-east-1", "root").await.unwrap();
    engine.inner.packer.close();
    let result = engine.put_object(&bucket(), &key("empty"), PutOptions::default(), &mut body(0)).await;
    assert!(result.is_err());
    let id = engine.bucket(&bucket()).await.unwrap().id;
    assert!(engine.inner.store.object(id, &key("empty"), None).await.unwrap().is_none());
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_is_told_to_be_refused_and_a_refused_delete_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    engine.create_bucket(&bucket(), "us-east-1", "root").await.unwrap();
    put(&engine, "small", 100).await;
    let conditions = granary_metadata::WriteConditions {
        if_none_match: Some(granary_metadata::TagMatch::Any),
        ..Default::default()
    };
    for length in [100, 300_000] {
        let options = PutOptions { conditions: conditions.clone(), ..PutOptions::default() };
        let refused = engine.put_object(&bucket(), &key("small"), options, &mut body(length)).await;
        assert!(refused.is_err());
    }
    let refused = |told: &[(ObjectRecord, Told)]| {
        let refused = |told: &Told| matches!(told.deed, Deed::Refused(_));
        told.iter().filter(|(_, told)| refused(told)).count()
    };
    assert_eq!(refused(&told(&engine).await), 2);
    let wrong = granary_metadata::WriteConditions {
        if_match: Some(granary_metadata::TagMatch::OneOf(vec![Etag::new("other")])),
        ..Default::default()
    };
    let entry =
        DeleteEntry { key: key("small"), version: None, bypass: Default::default(), conditions: wrong };
    assert!(engine.delete_object(&bucket(), entry).await.is_err());
    assert_eq!(erased(&engine).await, []);
    engine.close().await.unwrap();
}
