use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::future::join_all;
use granary_metadata::{Bucket, BucketChange, BucketLock, Bypass, LegalHold, ObjectLock, ObjectRow};
use granary_types::{BucketName, ObjectKey, StorageClass, VolumeId};

use super::super::pass::Batch;
use super::super::place::Place;
use super::super::{
    Aim, DayLength, LifecycleFilter, LifecycleRule, LifecycleRules, RuleStatus, Transition, TransitionTime,
};
use super::*;
use crate::Engine;
use crate::api::{ByteRange, DeleteEntry, PutOptions};
use crate::sample_body::SampleBody;
use crate::sample_store::{TIERED, make, place};
use crate::transit::{Moved, transit};

const EACH: usize = 8;
/// Those that a rule moves, and others.
const MOVING: [&str; 5] = ["due", "held", "replaced", "hidden", "erased"];
const OTHERS: [&str; 3] = ["young", "kept", "tagged"];

fn other_bucket() -> BucketName {
    BucketName::new("other").unwrap()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

fn body(name: &str) -> Bytes {
    blake3::hash(name.as_bytes()).as_bytes().repeat(32).into()
}

fn kind(name: &str) -> &str {
    name.split('/').next().unwrap()
}

/// Of what has tags, half has those of the rule.
fn has_tag_of_rule(name: &str) -> bool {
    name.ends_with(['0', '2', '4', '6'])
}

fn rule(prefix: &str, at: TransitionTime) -> LifecycleRule {
    LifecycleRule {
        id: prefix.to_owned(),
        status: RuleStatus::Enabled,
        filter: LifecycleFilter {
            prefix: Some(format!("{prefix}/")),
            shorter_than_bytes: Some(1 << 20),
            ..LifecycleFilter::default()
        },
        expiration: None,
        noncurrent: None,
        abort_days: None,
        transitions: vec![Transition { at, class: StorageClass::StandardIa }],
        noncurrent_transitions: Vec::new(),
    }
}

fn rules() -> LifecycleRules {
    let at_once = TransitionTime::Date(UnixMillis(0));
    let mut rules = MOVING.map(|prefix| rule(prefix, at_once)).to_vec();
    rules.push(rule("young", TransitionTime::Days(30)));
    let mut tagged = rule("tagged", at_once);
    tagged.filter.tags = vec![("go".to_owned(), "yes".to_owned())];
    rules.push(tagged);
    LifecycleRules { rules, transition_minimum: None }
}

/// Objects of all kinds in one block.
struct Scene {
    _dir: tempfile::TempDir,
    engine: Engine,
    bucket: Bucket,
    rules: LifecycleRules,
    /// As they were written first.
    rows: BTreeMap<String, ObjectRow>,
}

impl Scene {
    /// How they are packed depends on when they come: it is tried until one block has some of each kind.
    async fn new() -> Self {
        for _ in 0..100 {
            if let Some(scene) = Self::pack().await {
                return scene;
            }
        }
        panic!("no block has objects of all kinds");
    }

    /// Puts them all at once, so that they are packed together. Those count that are in the block with most of them.
    async fn pack() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let engine = make(dir.path(), &TIERED).await;
        engine.create_bucket(&other_bucket(), "us-east-1", "root").await.unwrap();
        engine.change_bucket(&place().0, BucketChange::EnableVersioning).await.unwrap();
        engine.change_bucket(&place().0, BucketChange::SetLock(BucketLock::default())).await.unwrap();
        let bucket = engine.bucket(&place().0).await.unwrap();
        let kinds = MOVING.into_iter().chain(OTHERS);
        let names: Vec<String> =
            kinds.flat_map(|kind| (0..EACH).map(move |n| format!("{kind}/{n}"))).collect();
        join_all(names.iter().map(|name| put(&engine, name))).await;
        let mut blocks: HashMap<(VolumeId, u64), BTreeMap<String, ObjectRow>> = HashMap::new();
        for name in names {
            let row = engine.inner.store.object(bucket.id, &key(&name), None).await.unwrap().unwrap();
            let at = row.object.content.packed().unwrap().clone();
            blocks.entry((at.volume, at.stripe_offset)).or_default().insert(name, row);
        }
        let rows = blocks.into_values().max_by_key(BTreeMap::len).unwrap();
        let has_some = |wanted: &str| rows.keys().filter(|name| kind(name) == wanted).count() > 1;
        let has_all = MOVING.into_iter().chain(OTHERS).all(has_some);
        has_all.then(|| Self { _dir: dir, engine, bucket, rules: rules(), rows })
    }

    /// What became of them before the walk.
    async fn goes_on(&self) {
        for (name, row) in &self.rows {
            match kind(name) {
                "replaced" => put(&self.engine, name).await,
                "hidden" => delete(&self.engine, &key(name), None).await,
                "erased" => delete(&self.engine, &key(name), Some(row)).await,
                _ => {}
            }
        }
    }

    fn pass(&self) -> Pass<'_> {
        Pass {
            inner: &self.engine.inner,
            bucket: &self.bucket,
            rules: &self.rules,
            day: DayLength::Real,
            aim: Aim::Move,
            place: Place::none(),
            moves: Place::none(),
            due: Batch::default(),
        }
    }

    /// One of them, as the batch of a walk has it.
    async fn batch(&self, pass: &Pass<'_>) -> Vec<Due> {
        let (name, row) = self.rows.iter().find(|(name, _)| kind(name) == "due").unwrap();
        let seen = Seen::current(&key(name), &row.object);
        let due = pass.due(seen, (row.clone(), Vec::new()), UnixMillis::now()).await;
        vec![due.unwrap().unwrap()]
    }

    async fn class_of(&self, name: &str) -> Option<StorageClass> {
        let row = self.rows.get(name).unwrap();
        let store = &self.engine.inner.store;
        let found = store.object(self.bucket.id, &key(name), Some(row.object.version)).await.unwrap();
        found.map(|found| found.object.storage_class)
    }

    async fn read(&self, name: &str) -> Vec<u8> {
        let version = self.rows.get(name).unwrap().object.version;
        let opened = self.engine.open_object(&place().0, &key(name), Some(version)).await.unwrap();
        let end = opened.info().length_bytes;
        let chunks: Vec<Bytes> = opened.read(ByteRange { start: 0, end }).try_collect().await.unwrap();
        chunks.concat()
    }
}

async fn put(engine: &Engine, name: &str) {
    let mut options = PutOptions::default();
    if kind(name) == "held" {
        options.lock = ObjectLock { legal_hold: LegalHold::On, ..ObjectLock::default() };
    }
    if kind(name) == "tagged" {
        let value = if has_tag_of_rule(name) { "yes" } else { "no" };
        options.tags = vec![("go".to_owned(), value.to_owned())];
    }
    engine.put_object(&place().0, &key(name), options, &mut SampleBody(Some(body(name)))).await.unwrap();
}

/// Locks may refuse it.
async fn delete(engine: &Engine, key: &ObjectKey, row: Option<&ObjectRow>) {
    let version = row.map(|row| row.object.version);
    let entry =
        DeleteEntry { key: key.clone(), version, bypass: Bypass::Nothing, conditions: Default::default() };
    let _refused = engine.delete_object(&place().0, entry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_in_a_block_moves_with_it_and_nothing_else() {
    let scene = Scene::new().await;
    scene.goes_on().await;
    let (pass, inner) = (scene.pass(), &scene.engine.inner);
    let batch = async || {
        let due = scene.batch(&pass).await;
        transit(inner, &scene.bucket, due, &MetInBlocks::new(&pass)).await.unwrap()
    };
    let moves = |name: &str| match kind(name) {
        "due" | "held" => true,
        "tagged" => has_tag_of_rule(name),
        _ => false,
    };
    let done = scene.rows.keys().filter(|name| moves(name)).count() as u64;
    assert_eq!(batch().await, Moved { done, ..Moved::default() });
    for name in scene.rows.keys() {
        let expected = if moves(name) { StorageClass::StandardIa } else { StorageClass::Standard };
        let expected = Some(expected).filter(|_| kind(name) != "erased");
        assert_eq!(scene.class_of(name).await, expected, "{name}");
        if expected.is_some() {
            assert!(scene.read(name).await == body(name), "{name}");
        }
    }
    // The block is there still, and the batch knows no better: what has left it is moved no more.
    assert_eq!(batch().await, Moved { left: 1, ..Moved::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_in_another_bucket_is_another_object() {
    let scene = Scene::new().await;
    let pass = scene.pass();
    let (name, row) = scene.rows.iter().find(|(name, _)| kind(name) == "due").unwrap();
    let at = row.object.content.packed().unwrap();
    let other = scene.engine.bucket(&other_bucket()).await.unwrap().id;
    let record = |bucket| ObjectRecord { bucket, key: key(name), object: row.object.clone() };
    let met = MetInBlocks::new(&pass);
    assert!(met.due(&record(other), at).await.is_none());
    let elsewhere = PackedLocation { offset: at.offset + 1, ..at.clone() };
    assert!(met.due(&record(scene.bucket.id), &elsewhere).await.is_none());
    assert!(met.due(&record(scene.bucket.id), at).await.is_some());
}

/// Whoever is found to be due is deleted before it has moved.
struct Overtaken<'a> {
    met: MetInBlocks<'a>,
    engine: &'a Engine,
}

impl Companions for Overtaken<'_> {
    async fn due(&self, record: &ObjectRecord, at: &PackedLocation) -> Option<Due> {
        let due = self.met.due(record, at).await?;
        delete(self.engine, &due.key, Some(&due.row)).await;
        Some(due)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn companions_that_are_gone_meanwhile_stay_gone_and_leave_nothing_to_be_tried_again() {
    let scene = Scene::new().await;
    let pass = scene.pass();
    let companions = Overtaken { met: MetInBlocks::new(&pass), engine: &scene.engine };
    let batch = scene.batch(&pass).await;
    let first = batch.first().unwrap().key.clone();
    let moved = transit(&scene.engine.inner, &scene.bucket, batch, &companions).await.unwrap();
    let held = scene.rows.keys().filter(|name| kind(name) == "held").count() as u64;
    assert_eq!(moved, Moved { done: 1 + held, ..Moved::default() });
    for name in scene.rows.keys() {
        let class = scene.class_of(name).await;
        match kind(name) {
            "held" => assert_eq!(class, Some(StorageClass::StandardIa), "{name}"),
            _ if key(name) == first => assert_eq!(class, Some(StorageClass::StandardIa)),
            "kept" | "young" => assert_eq!(class, Some(StorageClass::Standard), "{name}"),
            "tagged" if !has_tag_of_rule(name) => assert_eq!(class, Some(StorageClass::Standard), "{name}"),
            _ => assert_eq!(class, None, "{name}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_companion_is_due_once_the_rules_are_taken_back() {
    let scene = Scene::new().await;
    let pass = scene.pass();
    let (name, row) = scene.rows.iter().find(|(name, _)| kind(name) == "due").unwrap();
    let record = ObjectRecord { bucket: scene.bucket.id, key: key(name), object: row.object.clone() };
    let at = row.object.content.packed().unwrap();
    let met = MetInBlocks { looked: AtomicU32::new(PAGE - 2), ..MetInBlocks::new(&pass) };
    let mut found = Vec::new();
    for _ in 0..3 {
        found.push(met.due(&record, at).await.is_some());
    }
    assert_eq!(found, [true, false, false], "the bucket has no rules");
}
