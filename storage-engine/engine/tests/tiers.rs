//! A store with SSDs and disks: each storage class lies on its drives, and rules move objects between them.

use crate::common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::tiered::{SSDS, live, put, put_parts, tiered, tiered_with};
use common::{Body, PATIENCE, Store, bucket, bytes, entry, is_locked, key, read, reopen, until};
use granary_engine::recover::{
    BeginWith, Candidates, Existing, FindingKind, MissingDrives, RecoverOptions, recover_from_drives,
};
use granary_engine::{
    BucketChange, ByteRange, DeleteEntry, Engine, EngineError, EngineOptions, LifecycleFilter, LifecycleRule,
    LifecycleRules, ObjectHandle, RestoreState, RuleStatus, TaskKind, TierRule, Transition, TransitionTime,
    UploadOptions, Urgency, VolumeState, WriteConditions,
};
use granary_types::{DriveClass, StorageClass, VersionId};

const LENGTHS: [usize; 7] = [0, 1, 10_000, 131_072, 131_073, 700_000, 5_000_000];

async fn class_of(engine: &Engine, name: &str) -> StorageClass {
    engine.open_object(&bucket(), &key(name), None).await.unwrap().info().storage_class
}

/// Rules by which everything moves to these classes after so many days, however small it is.
fn rules(transitions: &[(u32, StorageClass)]) -> LifecycleRules {
    let step =
        |(days, class): &(u32, StorageClass)| Transition { at: TransitionTime::Days(*days), class: *class };
    let rule = LifecycleRule {
        id: "move".to_owned(),
        status: RuleStatus::Enabled,
        filter: LifecycleFilter { shorter_than_bytes: Some(1 << 40), ..LifecycleFilter::default() },
        expiration: None,
        noncurrent: None,
        abort_days: None,
        transitions: transitions.iter().map(step).collect(),
        noncurrent_transitions: Vec::new(),
    };
    LifecycleRules { rules: vec![rule], transition_minimum: None }
}

fn total() -> u64 {
    LENGTHS.iter().map(|length| *length as u64).sum()
}

async fn put_all(store: &Store, class: StorageClass) {
    for (seed, length) in (0..).zip(LENGTHS) {
        put(&store.engine, &format!("{}/{length}", class.as_str()), &bytes(length, seed), class)
            .await
            .unwrap();
    }
}

async fn check_all(store: &Store, class: StorageClass) {
    for (seed, length) in (0..).zip(LENGTHS) {
        let got = store.get(&format!("{}/{length}", class.as_str())).await.unwrap();
        assert!(got == bytes(length, seed), "{class:?} {length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_lie_on_their_drives_through_restarts_heals_and_compactions() {
    let mut store = tiered().await;
    put_all(&store, StorageClass::Standard).await;
    assert_eq!(live(&store.engine).await[&DriveClass::Ssd], total());
    assert_eq!(live(&store.engine).await[&DriveClass::Hdd], 0);
    put_all(&store, StorageClass::StandardIa).await;
    put_all(&store, StorageClass::DeepArchive).await;
    assert_eq!(live(&store.engine).await[&DriveClass::Hdd], 2 * total());
    store.restart().await;
    for row in store.engine.volume_status(None, 1000).await.unwrap() {
        let code = (row.volume.data_columns, row.volume.parity_columns);
        assert!([(2, 1), (2, 2)].contains(&code), "{code:?}");
    }
    // Half of it goes, so that the rest is compacted; a disk and an SSD are lost and made anew.
    for class in [StorageClass::Standard, StorageClass::StandardIa] {
        let gone = LENGTHS.iter().step_by(2).map(|length| DeleteEntry {
            key: key(&format!("{}/{length}", class.as_str())),
            version: None,
            bypass: granary_engine::Bypass::Nothing,
            conditions: Default::default(),
        });
        store.engine.delete_objects(&bucket(), gone.collect()).await.unwrap();
    }
    store.task(TaskKind::Compact).await;
    for slot in [0, SSDS] {
        let directory = common::drive(store.dir.path(), slot);
        while std::fs::remove_dir_all(&directory).is_err() {}
        std::fs::create_dir(&directory).unwrap();
    }
    until("both drives are new", || async {
        store.task(TaskKind::Heal).await;
        let drives = store.engine.drive_status();
        drives.iter().all(|drive| drive.space_bytes.is_some())
    })
    .await;
    store.task(TaskKind::Heal).await;
    let odd: u64 = LENGTHS.iter().skip(1).step_by(2).map(|length| *length as u64).sum();
    let lives = live(&store.engine).await;
    assert_eq!((lives[&DriveClass::Ssd], lives[&DriveClass::Hdd]), (odd, odd + total()));
    for class in [StorageClass::Standard, StorageClass::StandardIa] {
        for (seed, length) in (0..).zip(LENGTHS).skip(1).step_by(2) {
            let got = store.get(&format!("{}/{length}", class.as_str())).await.unwrap();
            assert!(got == bytes(length, seed), "{class:?} {length}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_drives_of_one_class_keeps_all_classes_on_them() {
    let store = Store::open(4).await;
    put_all(&store, StorageClass::Glacier).await;
    put_all(&store, StorageClass::Standard).await;
    assert!(!store.engine.class_status().0);
    check_all(&store, StorageClass::Standard).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_whose_drives_are_not_there_takes_no_writes() {
    let dir = tempfile::tempdir().unwrap();
    let data: Vec<_> = (0..3).map(|slot| common::drive(dir.path(), slot)).collect();
    let mut options = EngineOptions::new(data.clone());
    options.drive_classes = data.into_iter().map(|path| (path, DriveClass::Ssd)).collect();
    options.tiers = vec![(StorageClass::Glacier, TierRule::of(StorageClass::Glacier))];
    let engine = Engine::open(options.clone()).await.unwrap();
    engine.create_bucket(&bucket(), "us-east-1", "root").await.unwrap();
    let refused = put(&engine, "k", &bytes(10, 1), StorageClass::Glacier).await.unwrap_err();
    assert!(
        matches!(refused, EngineError::NoDrivesForClass { class: StorageClass::Glacier, .. }),
        "{refused:?}"
    );
    let upload = UploadOptions { storage_class: StorageClass::StandardIa, ..UploadOptions::default() };
    assert!(engine.create_upload(&bucket(), &key("k"), upload).await.is_err());
    put(&engine, "k", &bytes(10, 1), StorageClass::Standard).await.unwrap();
    engine.close().await.unwrap();
    // A drive that is told to be another kind at the next start is one from then on.
    options.drive_classes.insert(options.data[2].clone(), DriveClass::Hdd);
    let engine = reopen(&options).await;
    put(&engine, "k", &bytes(10, 1), StorageClass::Glacier).await.unwrap();
    let classes: Vec<_> = engine.drive_status().iter().map(|drive| drive.class).collect();
    assert_eq!(classes, [DriveClass::Ssd, DriveClass::Ssd, DriveClass::Hdd]);
    engine.close().await.unwrap();
}

/// Sealed volumes on SSDs in which nothing lives.
async fn dead_on_ssds(engine: &Engine) -> usize {
    let rows = engine.volume_status(None, 1000).await.unwrap();
    let ssds: Vec<_> = engine.drive_status().into_iter().filter(|d| d.class == DriveClass::Ssd).collect();
    let is_ssd = |id: &granary_types::DriveId| ssds.iter().any(|drive| drive.drive == Some(*id));
    let sealed = rows.iter().filter(|row| row.state == VolumeState::Sealed);
    sealed.filter(|row| row.volume.drives.iter().all(is_ssd) && row.live_bytes == 0).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_move_everything_step_by_step_and_nothing_is_lost_or_doubled() {
    let mut store = tiered().await;
    put_all(&store, StorageClass::Standard).await;
    let parts = put_parts(&store.engine, "parts", StorageClass::Standard).await;
    let everything = total() + parts.len() as u64;
    let before = store.engine.open_object(&bucket(), &key("parts"), None).await.unwrap().info().clone();
    let names: Vec<String> =
        LENGTHS.iter().map(|length| format!("STANDARD/{length}")).chain(["parts".to_owned()]).collect();
    store.engine.set_lifecycle(&bucket(), Some(&rules(&[(1, StorageClass::StandardIa)]))).await.unwrap();
    for name in &names {
        let engine = &store.engine;
        until(name, || async { class_of(engine, name).await == StorageClass::StandardIa }).await;
    }
    check_all(&store, StorageClass::Standard).await;
    assert!(store.get("parts").await.unwrap() == parts);
    let lives = live(&store.engine).await;
    assert_eq!((lives[&DriveClass::Ssd], lives[&DriveClass::Hdd]), (0, everything));
    let after = store.engine.open_object(&bucket(), &key("parts"), None).await.unwrap().info().clone();
    let expected = granary_engine::ObjectInfo { storage_class: StorageClass::StandardIa, ..before };
    assert_eq!(after, expected, "nothing but the class changes");
    // What was left behind goes, and nothing else.
    store.engine.set_lifecycle(&bucket(), None).await.unwrap();
    store.restart().await;
    until("the volumes that were left are removed", || async { dead_on_ssds(&store.engine).await == 0 })
        .await;
    check_all(&store, StorageClass::Standard).await;
    let next = rules(&[(1, StorageClass::StandardIa), (2, StorageClass::Glacier)]);
    store.engine.set_lifecycle(&bucket(), Some(&next)).await.unwrap();
    for name in &names {
        let engine = &store.engine;
        until(name, || async { class_of(engine, name).await == StorageClass::Glacier }).await;
    }
    // The same drives and the same code: the bytes stayed where they were.
    assert_eq!(live(&store.engine).await[&DriveClass::Hdd], everything);
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_objects_are_restored_for_a_while() {
    let store = tiered().await;
    put(&store.engine, "k", &bytes(200_000, 1), StorageClass::Glacier).await.unwrap();
    let info =
        || async { store.engine.open_object(&bucket(), &key("k"), None).await.unwrap().info().clone() };
    assert_eq!(info().await.restored, None);
    let restore =
        async |days, urgency| store.engine.restore_object(&bucket(), &key("k"), None, (days, urgency)).await;
    let done = restore(600, Urgency::Standard).await.unwrap();
    assert_eq!((done.was_restored, done.state), (false, RestoreState::Ongoing));
    let expires = async || match info().await.restored {
        Some(RestoreState::Done(restored)) => Some(restored.expires),
        _ => None,
    };
    until("it is restored", || async { expires().await.is_some() }).await;
    let first = expires().await.unwrap();
    let again = restore(2, Urgency::Bulk).await.unwrap();
    assert!(again.was_restored && expires().await.unwrap() < first);
    assert!(store.get("k").await.unwrap() == bytes(200_000, 1));
    until("it expires", || async { info().await.restored.is_none() }).await;
    put(&store.engine, "warm", &bytes(10, 1), StorageClass::StandardIa).await.unwrap();
    let refused =
        store.engine.restore_object(&bucket(), &key("warm"), None, (1, Urgency::Bulk)).await.unwrap_err();
    assert!(matches!(refused, EngineError::NotArchived(StorageClass::StandardIa)));
}

/// Objects are overwritten, deleted and read while rules move them: what is read is always what was written last.
#[tokio::test(flavor = "multi_thread")]
async fn writers_and_readers_race_the_moves() {
    const KEYS: u64 = 12;
    let store = tiered().await;
    store.engine.set_lifecycle(&bucket(), Some(&rules(&[(0, StorageClass::StandardIa)]))).await.unwrap();
    let ends = Instant::now() + Duration::from_secs(10);
    let work = (0..KEYS).map(|n| {
        let store = &store;
        async move {
            let (name, mut round) = (format!("k{n}"), 0);
            while Instant::now() < ends {
                round += 1;
                let length = if n % 2 == 0 { 9_000 + round } else { 300_000 + round };
                let body = bytes(length, n * 1_000 + round as u64);
                put(&store.engine, &name, &body, StorageClass::Standard).await.unwrap();
                for _ in 0..5 {
                    assert!(store.get(&name).await.unwrap() == body, "{name} {round}");
                    tokio::time::sleep(Duration::from_millis(n * 5)).await;
                }
                if round % 3 == 0 {
                    store.engine.delete_object(&bucket(), entry(&name)).await.unwrap();
                    assert!(matches!(store.get(&name).await, Err(EngineError::NoSuchKey)));
                }
            }
            let body = bytes(50_000, n);
            put(&store.engine, &name, &body, StorageClass::Standard).await.unwrap();
        }
    });
    futures::future::join_all(work).await;
    let engine = &store.engine;
    for n in 0..KEYS {
        let name = format!("k{n}");
        until(&name, || async { class_of(engine, &name).await == StorageClass::StandardIa }).await;
        assert!(store.get(&name).await.unwrap() == bytes(50_000, n));
    }
    let lives = live(engine).await;
    assert_eq!((lives[&DriveClass::Ssd], lives[&DriveClass::Hdd]), (0, KEYS * 50_000));
}

/// Appends to what is current, which was opened before.
async fn append(engine: &Engine, name: &str, body: &Bytes) {
    let opened = engine.open_object(&bucket(), &key(name), None).await.unwrap();
    let mut body = Body::new(body.clone());
    let conditions = WriteConditions::default();
    engine.append_object(&bucket(), &key(name), opened, conditions, &mut body).await.unwrap();
}

/// How many versions a rebuild of the metadata would find on the drives of a store that is closed, and how many whose bytes it
/// would miss.
async fn found_on_drives(store: &Store) -> (u64, u64) {
    let options = RecoverOptions {
        data: store.options.data.clone(),
        to: None,
        work: store.dir.path().join("work"),
        missing: MissingDrives::Refused,
        existing: Existing::Refused,
        begin_with: BeginWith::Nothing,
        // An append is a conditional write: whether it was done is not in the blocks.
        candidates: Candidates::All,
        decisions: Default::default(),
        list: None,
    };
    std::fs::create_dir_all(&options.work).unwrap();
    let begun = Instant::now();
    let report = loop {
        match recover_from_drives(&options, |_| {}).await {
            Err(error) if is_locked(&error) && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            done => break done.unwrap().report,
        }
    };
    (report.objects, report.findings.get(&FindingKind::Lost).copied().unwrap_or(0))
}

/// A version that goes on another moves to disks: the older one stays on SSDs, whole, and each goes by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_moves_leaves_the_bytes_that_it_shares_to_the_others() {
    // Short volumes, so that the copies of the shared parts count one after the other.
    let mut store = tiered_with(|options| options.volume_limit_bytes = 1 << 19).await;
    let engine = store.engine.clone();
    engine.change_bucket(&bucket(), BucketChange::EnableVersioning).await.unwrap();
    let first = put_parts(&engine, "k", StorageClass::Standard).await;
    let older = engine.open_object(&bucket(), &key("k"), None).await.unwrap().info().version;
    let added = bytes(500_000, 5);
    append(&engine, "k", &added).await;
    let (whole, own) = ([first.clone(), added].concat(), first.len() as u64);
    let all = whole.len() as u64;
    let open = async |version: Option<VersionId>| -> ObjectHandle {
        engine.open_object(&bucket(), &key("k"), version).await.unwrap()
    };
    let read_all = async |opened: ObjectHandle| {
        let end = opened.info().length_bytes;
        read(opened.read(ByteRange { start: 0, end })).await.unwrap()
    };
    let lives = async || {
        let lives = live(&engine).await;
        engine.recount().await.unwrap();
        assert_eq!(live(&engine).await, lives, "the accounting was exact");
        (lives[&DriveClass::Ssd], lives[&DriveClass::Hdd])
    };
    assert_eq!(lives().await, (all, 0), "they share the parts");
    let opened = open(None).await;
    engine.set_lifecycle(&bucket(), Some(&rules(&[(1, StorageClass::StandardIa)]))).await.unwrap();
    until("it moves", || async { class_of(&engine, "k").await == StorageClass::StandardIa }).await;
    engine.set_lifecycle(&bucket(), None).await.unwrap();
    assert_eq!(lives().await, (own, all));
    assert_eq!(open(older).await.info().storage_class, StorageClass::Standard);
    assert!(read_all(open(older).await).await == first);
    assert!(read_all(open(None).await).await == whole);
    let gone = DeleteEntry { version: older, ..entry("k") };
    engine.delete_object(&bucket(), gone).await.unwrap();
    assert_eq!(lives().await, (0, all));
    assert!(read_all(opened).await == whole, "who opened it before reads on");
    drop(engine);
    store.restart().await;
    until("the volumes that were left are removed", || async {
        let rows = store.engine.volume_status(None, 1000).await.unwrap();
        dead_on_ssds(&store.engine).await == 0 && rows.iter().all(|row| row.state != VolumeState::Freed)
    })
    .await;
    assert!(store.get("k").await.unwrap() == whole);
    // The blocks tell which bytes are its own now: those that it shared are gone.
    store.engine.close().await.unwrap();
    assert_eq!(found_on_drives(&store).await, (1, 0));
}

/// A rule that moved restored objects to another archive ended their restores, and the copies stayed on the SSDs until those would
/// have ended by themselves. What is restored again at once keeps its copy.
#[tokio::test(flavor = "multi_thread")]
async fn restored_copies_go_when_their_objects_move_to_another_archive() {
    let store = tiered().await;
    put_all(&store, StorageClass::Glacier).await;
    let names = LENGTHS.map(|length| format!("GLACIER/{length}"));
    let restored = async |name: &str| {
        let opened = store.engine.open_object(&bucket(), &key(name), None).await.unwrap();
        matches!(opened.info().restored, Some(RestoreState::Done(_)))
    };
    let restore = async |name: &str| {
        let asked = (100_000, Urgency::Standard);
        store.engine.restore_object(&bucket(), &key(name), None, asked).await.unwrap()
    };
    for name in &names {
        restore(name).await;
        until(name, || restored(name)).await;
    }
    let on_ssds = async || live(&store.engine).await[&DriveClass::Ssd];
    assert_eq!(on_ssds().await, total());
    store.engine.set_lifecycle(&bucket(), Some(&rules(&[(1, StorageClass::DeepArchive)]))).await.unwrap();
    for name in &names {
        until(name, || async { class_of(&store.engine, name).await == StorageClass::DeepArchive }).await;
    }
    let (again, rest) = names.split_last().unwrap();
    restore(again).await;
    until("it is restored", || restored(again)).await;
    until("the other copies go", || async { on_ssds().await == 5_000_000 }).await;
    for name in rest {
        assert!(!restored(name).await, "{name}");
    }
    // Some rounds more change nothing.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(on_ssds().await, 5_000_000);
    assert!(store.get(again).await.unwrap() == bytes(5_000_000, 6));
}
