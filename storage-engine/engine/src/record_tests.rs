use granary_metadata::VersionKind;
use granary_types::{
    Attributes, BlobId, Checksum, ChecksumAlgorithm, ChecksumKind, Etag, StorageClass, UnixMillis, WriteId,
};

use super::*;

fn object(content: Content) -> NewObject {
    NewObject {
        version: VersionId::from_bytes([7; 16]),
        kind: VersionKind::Object,
        write: WriteId::from_bytes([9; 16]),
        modified: UnixMillis(1_700_000_000_000),
        length_bytes: 5,
        etag: Etag::new("etag-2"),
        storage_class: StorageClass::Standard,
        checksum: None,
        attributes: Attributes { user: vec![("a".to_owned(), "b".to_owned())], ..Attributes::default() },
        content,
    }
}

fn told() -> Told {
    let bucket = granary_metadata::Bucket {
        id: BucketId::from_bytes([1; 16]),
        name: granary_types::BucketName::new("bucket").unwrap(),
        created: UnixMillis(5),
        region: "us-east-1".to_owned(),
        owner: "root".to_owned(),
        settings: granary_metadata::BucketSettings::default(),
    };
    Told::put(&bucket)
}

fn manifest(object: &NewObject) -> Vec<Vec<u8>> {
    let key = ObjectKey::new("a/b").unwrap();
    ObjectRecord::manifest(BucketId::from_bytes([1; 16]), &key, object, &told()).unwrap()
}

#[test]
fn a_manifest_tells_all_of_an_object_without_bytes() {
    let empty = object(Content::Empty);
    let records = manifest(&empty);
    assert_eq!(records.len(), 1);
    let record = ObjectRecord::decode(&records[0]).unwrap();
    assert_eq!((record.object, record.key.as_bytes()), (empty, b"a/b".as_slice()));
}

#[test]
fn a_manifest_of_ten_thousand_parts_is_told_in_pieces_that_fit_a_block() {
    let checksum = |n: u32| Checksum {
        algorithm: ChecksumAlgorithm::Sha256,
        kind: ChecksumKind::Composite,
        value: format!("{n:044}"),
    };
    let part = |n: u32| PartRef {
        number: PartNumber::new(n).unwrap(),
        blob: BlobId::from_bytes([3; 16]),
        length_bytes: 5 << 30,
        checksum: Some(checksum(n)),
    };
    let parts: Vec<PartRef> = (1..=10_000).map(part).collect();
    let whole = object(Content::Blobs { parts: parts.clone(), multipart: true });
    let records = manifest(&whole);
    let mut found = Vec::new();
    for (index, record) in (0_u32..).zip(&records) {
        assert!(record.len() < 64 * 1024, "{}", record.len());
        let (told, rest) = postcard::take_from_bytes::<ObjectRecord>(record).unwrap();
        let piece: Piece = postcard::from_bytes(rest).unwrap();
        assert!(
            ObjectRecord::decode_all(record, 0).unwrap().told.is_some_and(|(told, _)| told == self::told())
        );
        assert_eq!(piece, Piece { index, of: u32::try_from(records.len()).unwrap() });
        let Content::Blobs { parts, multipart: true } = told.object.content.clone() else {
            panic!("no blobs")
        };
        found.extend(parts);
        assert_eq!(NewObject { content: whole.content.clone(), ..told.object }, whole);
    }
    assert_eq!(found, parts);
}

#[test]
fn a_record_of_a_release_that_told_nothing_is_read() {
    let object = object(Content::Empty);
    let bucket = BucketId::from_bytes([1; 16]);
    let key = ObjectKey::new("a/b").unwrap();
    let old =
        postcard::to_stdvec(&ObjectRecord { bucket, key: key.clone(), object: object.clone() }).unwrap();
    let read = ObjectRecord::decode_all(&old, 5).unwrap();
    assert!(read.told.is_none() && read.record.object == object);
    let new = ObjectRecord::encode(bucket, &key, &object, &told()).unwrap();
    assert!(new.starts_with(&old), "older releases read newer records");
    assert!(ObjectRecord::decode_all(&new, 5).unwrap().told.is_some());
}

#[test]
fn records_tell_how_an_object_is_encrypted() {
    use granary_types::{Cipher, Envelope, MasterKeyId, Seal, SealedWith, VolumeId};
    let seal = Seal {
        cipher: Cipher::Aes256Gcm64KiB,
        envelope: Envelope { salt: [4; 16], sealed: vec![5; 48] },
        with: SealedWith::Managed { master: MasterKeyId::from_bytes([6; 16]) },
    };
    let location = granary_metadata::PackedLocation {
        volume: VolumeId::from_bytes([1; 16]),
        stripe_offset: 0,
        column: 0,
        offset: 0,
        length_bytes: 21,
        hash: [0; 32],
    };
    let packed = object(Content::Packed(location).sealed(seal.clone()));
    let key = ObjectKey::new("a").unwrap();
    let record = ObjectRecord::encode(BucketId::from_bytes([1; 16]), &key, &packed, &told()).unwrap();
    let read = ObjectRecord::decode(&record).unwrap().object;
    assert_eq!(read, NewObject { content: Content::Empty.sealed(seal.clone()), ..packed });
    let parts = vec![PartRef {
        number: PartNumber::new(1).unwrap(),
        blob: BlobId::from_bytes([3; 16]),
        length_bytes: 5,
        checksum: None,
    }];
    for content in [Content::Empty, Content::Blobs { parts, multipart: true }] {
        let sealed = object(content.sealed(seal.clone()));
        let records = manifest(&sealed);
        assert_eq!(ObjectRecord::decode(&records[0]).unwrap().object, sealed);
    }
}
