//! Random changes of every kind against a small in-memory model that is obviously right.

use std::collections::BTreeMap;

use granary_types::{UnixMillis, VersionId, WriteId};

use super::sample::{
    advance, bucket, bucket_id, complete, delete, etag, key, live, location, name, new_blob, object,
    open_written, put_blob, put_empty, put_packed, put_part, upload, version_id, volume_id, w,
};
use crate::model::{
    BlobMove, BucketChange, BucketUsage, Commit, Content, NewObject, ObjectMove, Outcome, PutObject,
    RemoveObject, TagMatch, VersionKind, Versioning, Write, WriteConditions,
};
use crate::store::MetadataStore;

/// A small generator of numbers; the same seed gives the same run everywhere.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator; any seed will do.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

const KEYS: [&str; 6] = ["a", "a/b", "a/b/c", "b", "\u{10FFFF}", "a/\u{10FFFF}"];
const VOLUMES: u64 = 3;

/// One version in the model.
#[derive(Debug, Clone)]
struct Version {
    order: u64,
    object: NewObject,
}

/// An upload in the model: its key, and of each part what wrote it, the volume and the length.
#[derive(Debug, Clone)]
struct Upload {
    key: &'static str,
    parts: BTreeMap<u32, (u64, u64, u64)>,
}

/// Whether the bucket's versioning changes now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switching {
    Never,
    Often,
}

#[derive(Debug, Default)]
struct Model {
    versioning: Versioning,
    /// The versions of each key in their order, and the highest order given.
    keys: BTreeMap<&'static str, (Vec<Version>, u64)>,
    uploads: BTreeMap<u64, Upload>,
    /// Volume and length of each blob.
    blobs: BTreeMap<u64, (u64, u64)>,
    next: u64,
}

impl Model {
    fn tag(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A version that the bucket takes now.
    fn version(&self, dice: &mut Dice) -> VersionId {
        match self.versioning {
            Versioning::Never => version_id(dice.roll(3)),
            Versioning::Enabled => version_id(1 + dice.roll(4)),
            Versioning::Suspended => VersionId::NULL,
        }
    }

    fn current(&self, key: &str) -> Option<&NewObject> {
        self.keys.get(key)?.0.last().map(|version| &version.object)
    }

    fn put(&mut self, key: &'static str, object: NewObject) -> (Option<Version>, u64) {
        let (versions, top) = self.keys.entry(key).or_default();
        let same = versions.iter().position(|version| version.object.version == object.version);
        let replaced = same.map(|at| versions.remove(at));
        *top += 1;
        versions.push(Version { order: *top, object });
        (replaced, *top)
    }

    fn delete(&mut self, key: &str, version: VersionId) -> Option<Version> {
        let (versions, _) = self.keys.get_mut(key)?;
        let at = versions.iter().position(|candidate| candidate.object.version == version)?;
        let gone = versions.remove(at);
        if versions.is_empty() {
            self.keys.remove(key);
        }
        Some(gone)
    }

    /// What the bucket holds: all versions, and the parts of uploads.
    fn usage(&self) -> BucketUsage {
        let versions = self.keys.values().flat_map(|(versions, _)| versions).map(|version| &version.object);
        let objects = versions.clone().filter(|object| object.kind == VersionKind::Object).count();
        let parts =
            self.uploads.values().flat_map(|upload| upload.parts.values()).map(|(_, _, length)| *length);
        BucketUsage {
            bytes: versions.map(|object| object.length_bytes).chain(parts).sum(),
            objects: u64::try_from(objects).expect("small"),
        }
    }

    /// Bytes that live in a volume: packed objects, and blobs that anything refers to, once each.
    fn live(&self, volume: u64) -> u64 {
        let objects = self.keys.values().flat_map(|(versions, _)| versions).map(|version| &version.object);
        let mut blobs: Vec<_> =
            self.uploads.values().flat_map(|upload| upload.parts.values()).map(|p| p.0).collect();
        let mut bytes = 0;
        for object in objects {
            if let Some(at) = object.content.packed().filter(|at| at.volume == volume_id(volume)) {
                bytes += u64::from(at.length_bytes);
            }
            blobs.extend(object.content.parts().iter().map(|part| number_of(part.blob.as_bytes())));
        }
        blobs.sort_unstable();
        blobs.dedup();
        bytes
            + blobs
                .iter()
                .filter_map(|blob| self.blobs.get(blob))
                .filter(|b| b.0 == volume)
                .map(|b| b.1)
                .sum::<u64>()
    }
}

fn number_of(id: &[u8; 16]) -> u64 {
    u64::from_be_bytes(id[8..].try_into().expect("eight bytes"))
}

/// Random commits agree with the model.
pub async fn changes_equal_the_model(store: &dyn MetadataStore) {
    everything(store, 1, 1500).await;
}

/// As [`changes_equal_the_model`], while versioning is enabled and suspended again and again.
pub async fn changes_equal_the_model_while_versioning_changes(store: &dyn MetadataStore) {
    run(store, 2, 1500, Switching::Often).await;
}

/// Runs `steps` random commits with `seed`, each checked against the model.
pub async fn everything(store: &dyn MetadataStore, seed: u64, steps: u64) {
    run(store, seed, steps, Switching::Never).await;
}

async fn switch(store: &dyn MetadataStore, dice: &mut Dice, model: &mut Model) {
    let (change, versioning) = match dice.roll(2) {
        0 => (BucketChange::EnableVersioning, Versioning::Enabled),
        _ => (BucketChange::SuspendVersioning, Versioning::Suspended),
    };
    store.change_bucket(&name("bucket-1"), change).await.unwrap();
    model.versioning = versioning;
}

async fn run(store: &dyn MetadataStore, seed: u64, steps: u64, switching: Switching) {
    let mut dice = Dice::new(seed);
    let mut model = Model { next: 1000, ..Model::default() };
    store.create_bucket(bucket(1)).await.unwrap();
    for v in 1..=VOLUMES {
        open_written(store, v).await;
    }
    for step in 0..steps {
        if switching == Switching::Often && dice.roll(10) == 0 {
            switch(store, &mut dice, &mut model).await;
        }
        let count = 1 + dice.roll(4);
        let (mut writes, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (write, outcome) = any_write(&mut dice, &mut model);
            writes.push(write);
            expected.push(outcome);
        }
        let advances = vec![advance(1 + dice.roll(VOLUMES), step * 10, 7)];
        let outcomes = store.commit(Commit { advances, writes: writes.clone() }).await.unwrap();
        let simple: Vec<_> = outcomes.iter().map(simplified).collect();
        assert_eq!(simple, expected, "seed {seed} step {step}: {writes:?}");
        if step % 16 == 0 {
            check(store, &model).await;
        }
    }
    check(store, &model).await;
    assert_eq!(store.recount().await.unwrap(), [], "seed {seed}: the accounting drifted");
}

/// What of an outcome the model knows: for done, the tag of the replaced version and the order.
fn simplified(outcome: &Outcome) -> Result<(Option<granary_types::Etag>, u64), Outcome> {
    match outcome {
        Outcome::Done { replaced, order } => {
            Ok((replaced.as_ref().map(|row| row.object.etag.clone()), *order))
        }
        Outcome::Marked { order, .. } => Ok((None, *order)),
        other => Err(other.clone()),
    }
}

type Expected = Result<(Option<granary_types::Etag>, u64), Outcome>;

const DONE: Expected = Ok((None, 0));

fn any_write(dice: &mut Dice, model: &mut Model) -> (Write, Expected) {
    let key = KEYS[usize::try_from(dice.roll(6)).expect("small")];
    match dice.roll(12) {
        0..=4 => any_put(dice, model, key),
        5 => any_delete(dice, model, key),
        6 => any_removal(dice, model, key),
        7 => {
            let tag = model.tag();
            model.uploads.insert(tag, Upload { key, parts: BTreeMap::new() });
            (Write::CreateUpload(Box::new(upload(1, key, tag, 5))), DONE)
        }
        8 | 9 => any_part(dice, model),
        10 => any_end_of_upload(dice, model),
        _ => any_move(dice, model, key),
    }
}

fn any_put(dice: &mut Dice, model: &mut Model, key: &'static str) -> (Write, Expected) {
    let tag = model.tag();
    let v = 1 + dice.roll(VOLUMES);
    let length = dice.roll(5000);
    let mut put: PutObject = match dice.roll(5) {
        0 => put_empty(1, key, tag),
        1 | 2 => put_packed(1, key, tag, v, u32::try_from(length).expect("small")),
        3 => put_blob(1, key, tag, v, length),
        _ => match model.current(KEYS[0]).map(|object| object.content.clone()) {
            // A copy by reference.
            Some(content) if content.blobs().is_some() => super::sample::put(1, key, object(tag, content, 1)),
            _ => put_empty(1, key, tag),
        },
    };
    if dice.roll(3) == 0 {
        put.object.content = put.object.content.sealed(super::sample::seal(tag));
    }
    put.object.version = model.version(dice);
    if dice.roll(8) == 0 {
        put.object.kind = VersionKind::DeleteMarker;
        put.object.content = Content::Empty;
        put.blobs.clear();
    }
    if dice.roll(4) == 0 {
        put.conditions.if_none_match = Some(TagMatch::Any);
        if model.current(key).is_some_and(|object| object.kind == VersionKind::Object) {
            return (w(put), Err(Outcome::PreconditionFailed));
        }
    }
    if let Some(blob) = put.blobs.first() {
        model.blobs.insert(tag, (v, blob.extents[0].length_bytes));
    }
    let (replaced, order) = model.put(key, put.object.clone());
    (w(put), Ok((replaced.map(|version| version.object.etag), order)))
}

fn any_delete(dice: &mut Dice, model: &mut Model, key: &'static str) -> (Write, Expected) {
    let mut delete = delete(1, key);
    delete.version = version_id(dice.roll(3));
    if dice.roll(4) == 0 {
        delete.conditions.if_match = Some(TagMatch::OneOf(vec![etag(1)]));
        let exists = model.current(key).is_some_and(|object| object.kind == VersionKind::Object);
        let outcome = if exists { Outcome::PreconditionFailed } else { Outcome::NoSuchKey };
        return (Write::Delete(delete), Err(outcome));
    }
    let gone = model.delete(key, delete.version);
    (Write::Delete(delete), Ok((gone.map(|version| version.object.etag), 0)))
}

fn any_removal(dice: &mut Dice, model: &mut Model, key: &'static str) -> (Write, Expected) {
    let marker = version_id(10 + dice.roll(3));
    let write = RemoveObject {
        bucket: bucket_id(1),
        key: super::sample::key(key),
        conditions: WriteConditions::default(),
        version: marker,
        write: WriteId::from_bytes(super::sample::id(model.tag())),
        modified: UnixMillis(4_000),
    };
    let version = match model.versioning {
        Versioning::Never => {
            let gone = model.delete(key, VersionId::NULL);
            let replaced = gone.map(|version| version.object.etag);
            return (Write::Remove(Box::new(write)), Ok((replaced, 0)));
        }
        Versioning::Enabled => marker,
        Versioning::Suspended => VersionId::NULL,
    };
    let (_, order) = model.put(key, write.marker(version));
    (Write::Remove(Box::new(write)), Ok((None, order)))
}

fn pick_upload(dice: &mut Dice, model: &Model) -> Option<(u64, Upload)> {
    let at = dice.roll(u64::try_from(model.uploads.len()).expect("small").max(1));
    let (n, upload) = model.uploads.iter().nth(usize::try_from(at).expect("small"))?;
    Some((*n, upload.clone()))
}

fn any_part(dice: &mut Dice, model: &mut Model) -> (Write, Expected) {
    let tag = model.tag();
    let part = 1 + u32::try_from(dice.roll(4)).expect("small");
    let (v, length) = (1 + dice.roll(VOLUMES), dice.roll(9000));
    let Some((n, upload)) = pick_upload(dice, model) else {
        let write = put_part(1, "a", 999, part, (tag, v, length));
        return (Write::PutPart(Box::new(write)), Err(Outcome::NoSuchUpload));
    };
    model.blobs.insert(tag, (v, length));
    if let Some(upload) = model.uploads.get_mut(&n) {
        upload.parts.insert(part, (tag, v, length));
    }
    (Write::PutPart(Box::new(put_part(1, upload.key, n, part, (tag, v, length)))), DONE)
}

fn any_end_of_upload(dice: &mut Dice, model: &mut Model) -> (Write, Expected) {
    let Some((n, upload)) = pick_upload(dice, model) else {
        let write =
            Write::AbortUpload { bucket: bucket_id(1), key: key("a"), upload: super::sample::upload_id(999) };
        return (write, Err(Outcome::NoSuchUpload));
    };
    if upload.parts.is_empty() || dice.roll(3) == 0 {
        model.uploads.remove(&n);
        let upload_id = super::sample::upload_id(n);
        return (Write::AbortUpload { bucket: bucket_id(1), key: key(upload.key), upload: upload_id }, DONE);
    }
    let tag = model.tag();
    let mut parts: Vec<_> =
        upload.parts.iter().map(|(part, (tag, _, length))| (*part, *tag, *length)).collect();
    if dice.roll(2) == 0 {
        parts.truncate(1);
    }
    let stale = dice.roll(4) == 0;
    if stale {
        parts[0].1 = 1;
    }
    let mut complete = complete(1, upload.key, n, tag, &parts);
    complete.object.version = model.version(dice);
    let write = Write::CompleteUpload(Box::new(complete.clone()));
    if stale {
        return (write, Err(Outcome::InvalidPart(super::sample::number(parts[0].0))));
    }
    model.uploads.remove(&n);
    let (replaced, order) = model.put(upload.key, complete.object);
    (write, Ok((replaced.map(|version| version.object.etag), order)))
}

fn any_move(dice: &mut Dice, model: &mut Model, key: &'static str) -> (Write, Expected) {
    let v = 1 + dice.roll(VOLUMES);
    let current = model.keys.get_mut(key).and_then(|(versions, _)| versions.last_mut());
    let (bucket, named, from) = (bucket_id(1), super::sample::key(key), location(1, 77, 1));
    let Some(version) = current else {
        let moved = ObjectMove { bucket, key: named, version: version_id(0), to: location(v, 1, 1), from };
        return (Write::MoveObject(Box::new(moved)), Err(Outcome::Moved));
    };
    let id = version.object.version;
    match &mut version.object.content {
        Content::Packed(at) | Content::SealedPacked(_, at) => {
            let to = location(v, at.offset + 3, at.length_bytes);
            let moved = ObjectMove { bucket, key: named, version: id, from: at.clone(), to: to.clone() };
            *at = to;
            (Write::MoveObject(Box::new(moved)), DONE)
        }
        Content::Blobs { parts, .. } | Content::SealedBlobs { parts, .. } => {
            let n = number_of(parts[0].blob.as_bytes());
            let (was, length) = model.blobs[&n];
            let (from, to) = (new_blob(n, was, length).extents, new_blob(n, v, length).extents);
            model.blobs.insert(n, (v, length));
            (Write::MoveBlob(Box::new(BlobMove { blob: new_blob(n, v, 0).id, from, to })), DONE)
        }
        Content::Empty | Content::SealedEmpty(_) => {
            let moved = ObjectMove { bucket, key: named, version: id, to: location(v, 1, 1), from };
            (Write::MoveObject(Box::new(moved)), Err(Outcome::Moved))
        }
    }
}

async fn check(store: &dyn MetadataStore, model: &Model) {
    for name in KEYS {
        let row = store.object(bucket_id(1), &key(name), None).await.unwrap();
        let expected = model.keys.get(name).and_then(|(versions, _)| versions.last());
        assert_eq!(
            row.as_ref().map(|row| (row.order, &row.object)),
            expected.map(|version| (version.order, &version.object)),
            "current version of {name:?}"
        );
        if let Some((versions, _)) = model.keys.get(name) {
            for version in versions {
                let row = store.object(bucket_id(1), &key(name), Some(version.object.version)).await.unwrap();
                assert_eq!(
                    row.map(|row| (row.order, row.object)),
                    Some((version.order, version.object.clone()))
                );
            }
        }
    }
    for v in 1..=VOLUMES {
        assert_eq!(live(store, v).await, model.live(v), "live bytes of volume {v}");
    }
    assert_eq!(store.bucket_usage(bucket_id(1)).await.unwrap(), model.usage());
}
