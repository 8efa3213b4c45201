use granary_engine::ObjectLock;
use granary_types::{Attributes, StorageClass, UnixMillis, WriteId};

use super::*;

const MD5: &str = "5d41402abc4b2a76b9719d911017c592";

fn object(etag: &str, checksum: Option<(ChecksumAlgorithm, ChecksumKind)>) -> ObjectInfo {
    ObjectInfo {
        version: None,
        write: WriteId::from_bytes([1; 16]),
        length_bytes: 5,
        etag: Etag::new(etag),
        modified: UnixMillis(1),
        storage_class: StorageClass::Standard,
        checksum: checksum.map(|(algorithm, kind)| Checksum { algorithm, kind, value: "x".to_owned() }),
        attributes: Attributes::default(),
        parts: None,
        tag_count: 0,
        lock: ObjectLock::default(),
        encryption: None,
        restored: None,
    }
}

#[test]
fn digests_are_known_only_of_objects_that_were_put_whole_with_that_checksum() {
    use ChecksumAlgorithm::{Crc32, Crc64Nvme};
    let whole = Some((Crc64Nvme, ChecksumKind::FullObject));
    let known = known_digests(&object(MD5, whole), Crc64Nvme).unwrap();
    assert_eq!((known.etag.as_str(), known.checksum.is_some()), (MD5, true));
    assert_eq!(known_digests(&object(MD5, whole), Crc32), None);
    assert_eq!(known_digests(&object(MD5, None), Crc64Nvme), None);
    assert_eq!(known_digests(&object(MD5, Some((Crc64Nvme, ChecksumKind::Composite))), Crc64Nvme), None);
    // What was uploaded in parts or appended to has another tag.
    assert_eq!(known_digests(&object(&format!("{MD5}-2"), whole), Crc64Nvme), None);
    let parts = ObjectInfo { parts: Some(Vec::new()), ..object(MD5, whole) };
    assert_eq!(known_digests(&parts, Crc64Nvme), None);
}
