use granary_types::{BucketName, ObjectKey};

use super::*;

const MIB: u64 = 1024 * 1024;

#[test]
fn pieces_grow_with_the_object_and_stay_few() {
    for (length_bytes, piece) in [(0, MIB / 4), (MIB, MIB / 4), (256 * MIB, MIB / 4), (300 * MIB, MIB / 2)] {
        assert_eq!(piece_bytes(length_bytes), piece, "{length_bytes}");
    }
    assert!(LENGTH_BYTES_LIMIT.div_ceil(piece_bytes(LENGTH_BYTES_LIMIT - 1)) <= PIECES_AIMED);
}

#[test]
fn the_file_has_its_members_in_order_and_the_length_it_says() {
    let frame = Frame::new((MIB, 1_700_000_000), "a.bin", "http://h/b/a.bin");
    assert_eq!(
        frame.before,
        "d13:creation datei1700000000e4:infod6:lengthi1048576e4:name5:a.bin12:piece lengthi262144e6:pieces80:"
    );
    assert_eq!(frame.after, "e8:url-list16:http://h/b/a.bine");
    assert_eq!(frame.length_bytes(), u64::try_from(frame.before.len() + frame.after.len()).unwrap() + 80);
    assert_eq!(Frame::new((0, 0), "a", "s").hashes_bytes, 0);
}

#[test]
fn names_are_those_of_files() {
    for (key, name) in [("a/b.bin", "b.bin"), ("a/b/", "b"), ("../..", "bucket"), ("/", "bucket"), ("k", "k")]
    {
        let object =
            ObjectAddress { bucket: BucketName::new("bucket").unwrap(), key: ObjectKey::new(key).unwrap() };
        assert_eq!(file_name(&object), name, "{key}");
    }
}
