//! Small values for tests: each is told by the few things that matter and is plain otherwise.

use std::collections::BTreeSet;

use granary_types::{
    Attributes, BlobId, BucketId, BucketKeys, BucketName, Checksum, ChecksumAlgorithm, ChecksumKind, Cipher,
    DriveId, Envelope, Epoch, Etag, MasterKeyId, ObjectKey, PartNumber, Seal, SealedWith, StorageClass,
    UnixMillis, UploadId, VersionId, VolumeId, WriteId,
};

use crate::model::{
    Bucket, BucketSettings, Commit, CompleteUpload, Content, DeleteObject, Extent, ListedVersion, NewBlob,
    NewObject, NewUpload, NewVolume, Outcome, PackedLocation, PartRef, PutObject, PutPart, VersionEntry,
    VersionKind, VersionQuery, VolumeAdvance, Write, WriteConditions,
};
use crate::store::MetadataStore;

/// 16 bytes that tell `n`.
#[must_use]
pub fn id(n: u64) -> [u8; 16] {
    let mut bytes = [0xA5; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    bytes
}

/// The bucket id of number `n`.
#[must_use]
pub fn bucket_id(n: u64) -> BucketId {
    BucketId::from_bytes(id(n))
}

/// The volume id of number `n`.
#[must_use]
pub fn volume_id(n: u64) -> VolumeId {
    VolumeId::from_bytes(id(n))
}

/// The blob id of number `n`.
#[must_use]
pub fn blob_id(n: u64) -> BlobId {
    BlobId::from_bytes(id(n))
}

/// The upload id of number `n`.
#[must_use]
pub fn upload_id(n: u64) -> UploadId {
    UploadId::from_bytes(id(n))
}

/// The version id of number `n`; 0 is the null version.
#[must_use]
pub fn version_id(n: u64) -> VersionId {
    if n == 0 { VersionId::NULL } else { VersionId::from_bytes(id(n)) }
}

/// A key.
#[must_use]
pub fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).expect("a valid key")
}

/// A bucket name.
#[must_use]
pub fn name(text: &str) -> BucketName {
    BucketName::new(text).expect("a valid name")
}

/// A part number.
#[must_use]
pub fn number(n: u32) -> PartNumber {
    PartNumber::new(n).expect("a valid part number")
}

/// Bucket number `n`, named `bucket-n`.
#[must_use]
pub fn bucket(n: u64) -> Bucket {
    Bucket {
        id: bucket_id(n),
        name: name(&format!("bucket-{n}")),
        created: UnixMillis(1_000),
        region: "us-east-1".to_owned(),
        owner: "root".to_owned(),
        settings: BucketSettings::default(),
    }
}

/// Volume number `n`, 2+1.
#[must_use]
pub fn volume(n: u64) -> NewVolume {
    NewVolume {
        id: volume_id(n),
        data_columns: 2,
        parity_columns: 1,
        drives: (1..=3).map(|n| DriveId::from_bytes(id(n))).collect(),
        opened: UnixMillis(2_000),
    }
}

/// A place in volume `n`.
#[must_use]
pub fn location(n: u64, offset: u64, length_bytes: u32) -> PackedLocation {
    let hash = *blake3::hash(&offset.to_le_bytes()).as_bytes();
    PackedLocation {
        volume: volume_id(n),
        stripe_offset: offset,
        column: 1,
        offset: offset + 512,
        length_bytes,
        hash,
    }
}

/// An object of one write, with an etag made of `tag`.
#[must_use]
pub fn object(tag: u64, content: Content, length_bytes: u64) -> NewObject {
    NewObject {
        version: VersionId::NULL,
        kind: VersionKind::Object,
        write: WriteId::from_bytes(id(tag)),
        modified: UnixMillis(1_700_000_000_123),
        length_bytes,
        etag: etag(tag),
        storage_class: StorageClass::StandardIa,
        checksum: Some(Checksum {
            algorithm: ChecksumAlgorithm::Crc64Nvme,
            kind: ChecksumKind::FullObject,
            value: format!("sum-{tag}"),
        }),
        attributes: Attributes {
            content_type: Some("text/plain".to_owned()),
            headers: vec![("cache-control".to_owned(), "no-cache".to_owned())],
            user: vec![("tag".to_owned(), tag.to_string())],
        },
        content,
    }
}

/// An encryption that tells `n`, of another kind for each of three.
#[must_use]
pub fn seal(n: u64) -> Seal {
    let master = MasterKeyId::from_bytes(id(n));
    let with = match n % 3 {
        0 => SealedWith::Managed { master },
        1 => SealedWith::Customer,
        _ => SealedWith::Kms {
            master,
            key: format!("key-{n}"),
            bucket_keys: BucketKeys::Enabled,
            context: Some("e30=".to_owned()),
        },
    };
    let envelope = Envelope { salt: id(n), sealed: vec![0xEE; 48] };
    Seal { cipher: Cipher::Aes256Gcm64KiB, envelope, with }
}

/// The tag of [`object`].
#[must_use]
pub fn etag(tag: u64) -> Etag {
    Etag::new(format!("{tag:032x}"))
}

/// A put of an object without bytes.
#[must_use]
pub fn put_empty(b: u64, k: &str, tag: u64) -> PutObject {
    put(b, k, object(tag, Content::Empty, 0))
}

/// A put of a packed object of `length_bytes` into volume `v`.
#[must_use]
pub fn put_packed(b: u64, k: &str, tag: u64, v: u64, length_bytes: u32) -> PutObject {
    put(b, k, object(tag, Content::Packed(location(v, tag * 4096, length_bytes)), u64::from(length_bytes)))
}

/// A put of one new blob, of one extent in volume `v`.
#[must_use]
pub fn put_blob(b: u64, k: &str, tag: u64, v: u64, length_bytes: u64) -> PutObject {
    let parts = vec![PartRef { number: number(1), blob: blob_id(tag), length_bytes, checksum: None }];
    let mut put = put(b, k, object(tag, Content::Blobs { parts, multipart: false }, length_bytes));
    put.blobs.push(new_blob(tag, v, length_bytes));
    put
}

/// A put without conditions.
#[must_use]
pub fn put(b: u64, k: &str, object: NewObject) -> PutObject {
    PutObject {
        bucket: bucket_id(b),
        key: key(k),
        conditions: WriteConditions::default(),
        object,
        blobs: Vec::new(),
    }
}

/// Blob number `n` with one extent in volume `v`.
#[must_use]
pub fn new_blob(n: u64, v: u64, length_bytes: u64) -> NewBlob {
    NewBlob { id: blob_id(n), extents: vec![Extent { volume: volume_id(v), offset: n * 8192, length_bytes }] }
}

/// A delete of the null version.
#[must_use]
pub fn delete(b: u64, k: &str) -> DeleteObject {
    DeleteObject {
        bucket: bucket_id(b),
        key: key(k),
        version: VersionId::NULL,
        conditions: WriteConditions::default(),
    }
}

/// Upload number `n` begun at `initiated` milliseconds.
#[must_use]
pub fn upload(b: u64, k: &str, n: u64, initiated: i64) -> NewUpload {
    NewUpload {
        bucket: bucket_id(b),
        key: key(k),
        upload: upload_id(n),
        initiated: UnixMillis(initiated),
        owner: "root".to_owned(),
        storage_class: StorageClass::Standard,
        attributes: Attributes::default(),
        checksum: Some((ChecksumAlgorithm::Crc32c, ChecksumKind::Composite)),
    }
}

/// Part `part` of upload `n` written by `tag`, with blob `tag` in volume `v`.
#[must_use]
pub fn put_part(b: u64, k: &str, n: u64, part: u32, (tag, v, length_bytes): (u64, u64, u64)) -> PutPart {
    PutPart {
        bucket: bucket_id(b),
        key: key(k),
        upload: upload_id(n),
        number: number(part),
        write: WriteId::from_bytes(id(tag)),
        modified: UnixMillis(3_000),
        length_bytes,
        etag: etag(tag),
        checksum: None,
        blob: new_blob(tag, v, length_bytes),
    }
}

/// The completion of upload `n` from parts given as (number, tag, length).
#[must_use]
pub fn complete(b: u64, k: &str, n: u64, tag: u64, parts: &[(u32, u64, u64)]) -> CompleteUpload {
    let refs = parts.iter().map(|(part, tag, length_bytes)| PartRef {
        number: number(*part),
        blob: blob_id(*tag),
        length_bytes: *length_bytes,
        checksum: None,
    });
    let content = Content::Blobs { parts: refs.collect(), multipart: true };
    CompleteUpload {
        bucket: bucket_id(b),
        key: key(k),
        upload: upload_id(n),
        parts: parts.iter().map(|(part, tag, _)| (number(*part), WriteId::from_bytes(id(*tag)))).collect(),
        conditions: WriteConditions::default(),
        object: object(tag, content, parts.iter().map(|(_, _, length)| length).sum()),
    }
}

/// An advance of volume `v` at its first epoch.
#[must_use]
pub fn advance(v: u64, end: u64, stored_bytes: u64) -> VolumeAdvance {
    VolumeAdvance { volume: volume_id(v), epoch: Epoch::FIRST, end, stored_bytes }
}

/// A put as a write.
#[must_use]
pub fn w(put: PutObject) -> Write {
    Write::Put(Box::new(put))
}

/// Commits the writes and returns their outcomes.
pub async fn commit(store: &dyn MetadataStore, writes: Vec<Write>) -> Vec<Outcome> {
    let mut keys = current_keys(store).await;
    for key in &keys {
        store.object(bucket_id(1), key, None).await.expect("rows are readable");
    }
    let done = store.commit(Commit { advances: Vec::new(), writes }).await.expect("the commit is accepted");
    keys.extend(current_keys(store).await);
    for key in keys {
        assert_told_as_it_is(store, &key).await;
    }
    done
}

/// Some of the keys of bucket 1.
async fn current_keys(store: &dyn MetadataStore) -> BTreeSet<ObjectKey> {
    let page = store.list_versions(versions_of("", 24)).await.expect("versions are listed");
    page.entries.into_iter().filter_map(listed).map(|version| version.key().clone()).collect()
}

fn listed(entry: VersionEntry) -> Option<ListedVersion> {
    match entry {
        VersionEntry::Version(version) => Some(version),
        VersionEntry::CommonPrefix(_) => None,
    }
}

fn versions_of(prefix: &str, limit: u32) -> VersionQuery {
    let (bucket, prefix) = (bucket_id(1), prefix.to_owned());
    VersionQuery { bucket, prefix, delimiter: None, after: None, after_version: None, limit }
}

/// The current version, which a store may remember, is the newest one listed, and its row that of this version.
async fn assert_told_as_it_is(store: &dyn MetadataStore, key: &ObjectKey) {
    let newest = || async {
        let page = store.list_versions(versions_of(key.as_str(), 1)).await.expect("versions are listed");
        page.entries.into_iter().filter_map(listed).find(|version| version.key() == key)
    };
    loop {
        let before = newest().await;
        let told = store.object(bucket_id(1), key, None).await.expect("rows are readable");
        let version = told.as_ref().map(|row| row.object.version);
        let row = store
            .object(bucket_id(1), key, Some(version.unwrap_or(VersionId::NULL)))
            .await
            .expect("readable");
        // Others may write meanwhile.
        if newest().await == before {
            assert_eq!(version, before.map(|version| version.version), "{key}");
            assert!(told == row, "{key}: {told:?} was told and is {row:?}");
            return;
        }
    }
}

/// Commits one write and returns its outcome.
pub async fn one(store: &dyn MetadataStore, write: Write) -> Outcome {
    commit(store, vec![write]).await.pop().expect("one outcome")
}

/// Commits one write that must be done, and returns the tag of what it replaced and the order.
pub async fn done(store: &dyn MetadataStore, write: Write) -> (Option<Etag>, u64) {
    match one(store, write).await {
        Outcome::Done { replaced, order } => (replaced.map(|row| row.object.etag), order),
        other => panic!("expected a write to be done, got {other:?}"),
    }
}

/// A committed end beyond every place the samples make.
pub const FAR: u64 = 1 << 40;

/// Opens volume `v`, of which all is committed that the samples may put there.
pub async fn open_written(store: &dyn MetadataStore, v: u64) {
    store.open_volume(volume(v)).await.expect("a volume");
    let commit = Commit { advances: vec![advance(v, FAR, 0)], writes: Vec::new() };
    store.commit(commit).await.expect("the end advances");
}

/// How many refer to blob `n`; `None` if it is gone.
pub async fn references(store: &dyn MetadataStore, n: u64) -> Option<u32> {
    let is_there = !store.blobs(&[blob_id(n)]).await.expect("blobs are readable").is_empty();
    let counts = store.count_references(&[(blob_id(n), 100)]).await.expect("references are counted");
    is_there.then(|| counts[0])
}

/// Bytes that live in volume `v`.
pub async fn live(store: &dyn MetadataStore, v: u64) -> u64 {
    store.volume(volume_id(v)).await.expect("volumes are readable").expect("the volume exists").live_bytes
}
