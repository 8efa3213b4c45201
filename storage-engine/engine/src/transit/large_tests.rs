use granary_metadata::PartRef;
use granary_metadata::conformance::sample;

use super::*;

#[test]
fn parts_of_encrypted_uploads_are_bound_to_their_blobs_and_others_are_not() {
    let part = |n: u32, blob: u64| PartRef {
        number: sample::number(n),
        blob: sample::blob_id(blob),
        length_bytes: 10,
        checksum: None,
    };
    let of = |multipart| Content::Blobs { parts: vec![part(1, 7), part(2, 8), part(3, 7)], multipart };
    let twice_and_once = HashMap::from([(sample::blob_id(7), 2), (sample::blob_id(8), 1)]);
    for free in [of(true), of(false), of(false).sealed(sample::seal(1))] {
        assert_eq!(named(&free), twice_and_once, "{free:?}");
    }
    assert!(named(&of(true).sealed(sample::seal(1))).is_empty());
}
