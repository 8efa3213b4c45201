use granary_metadata::{Bucket, BucketSettings, Content, NewObject, VersionKind};
use granary_types::{Attributes, BucketId, BucketName, ObjectKey, StorageClass, UnixMillis, VersionId};

use super::*;
use crate::record::ObjectRecord;
use crate::told::Told;

/// RFC 1321, A.5.
const KNOWN: [(&str, &str); 4] = [
    ("a", "0cc175b9c0f1b6a831c399e269772661"),
    ("abc", "900150983cd24fb0d6963f7d28e17f72"),
    ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
    (
        "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
        "57edf4a22be3c955ac49da2e2107b67a",
    ),
];

fn object(write: WriteId) -> NewObject {
    NewObject {
        version: VersionId::NULL,
        kind: VersionKind::Object,
        write,
        modified: UnixMillis(1_700_000_000_000),
        length_bytes: 3,
        etag: placeholder(write),
        storage_class: StorageClass::Standard,
        checksum: None,
        attributes: Attributes::default(),
        content: Content::Empty,
    }
}

fn record(object: &NewObject) -> Vec<u8> {
    // A key that looks like many tags.
    let key = ObjectKey::new("0".repeat(200)).unwrap();
    let bucket = Bucket {
        id: BucketId::from_bytes([7; 16]),
        name: BucketName::new("corpus").unwrap(),
        created: UnixMillis(1),
        settings: BucketSettings::default(),
        owner: String::new(),
        region: String::new(),
    };
    ObjectRecord::encode(bucket.id, &key, object, &Told::put(&bucket)).unwrap()
}

#[test]
fn records_get_the_tags_of_the_bodies_they_were_grouped_with() {
    let writes: Vec<WriteId> = KNOWN.iter().map(|_| WriteId::random().unwrap()).collect();
    let bodies: Vec<Bytes> = KNOWN.iter().map(|(body, _)| Bytes::from_static(body.as_bytes())).collect();
    let mut objects: Vec<NewObject> = writes.iter().map(|write| object(*write)).collect();
    let mut records: Vec<Vec<u8>> = objects.iter().map(record).collect();
    let lengths: Vec<usize> = records.iter().map(Vec::len).collect();
    let mut tellers = Vec::new();
    let mut group = Vec::new();
    for ((bytes, record), object) in bodies.iter().zip(&mut records).zip(&mut objects) {
        let (room, told) = EtagRoom::find(record, object.write).unwrap();
        tellers.push(told);
        group.push(Untagged { bytes, record, etag: &mut object.etag, room });
    }
    tag(Kernel::detect(), group);
    for ((((_, known), mut told), record), object) in KNOWN.iter().zip(tellers).zip(&records).zip(&objects) {
        assert_eq!(object.etag.as_str(), *known);
        assert_eq!(told.try_recv().unwrap().as_str(), *known);
        assert_eq!(ObjectRecord::decode(record).unwrap().object.etag.as_str(), *known);
    }
    assert_eq!(lengths, records.iter().map(Vec::len).collect::<Vec<_>>());
}

#[test]
fn a_record_without_room_is_refused() {
    let encoded = record(&object(WriteId::random().unwrap()));
    assert!(EtagRoom::find(&encoded, WriteId::random().unwrap()).is_err());
}
