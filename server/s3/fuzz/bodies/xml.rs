//! Any XML body: never a panic, and what is accepted keeps the limits.

use granary_s3::fuzzing;
use granary_s3::xml::parse_restore;
use granary_s3::xml::requests::{parse_complete, parse_create_bucket, parse_delete};

pub(crate) fn run(data: &[u8]) {
    if let Ok(delete) = parse_delete(data) {
        assert!((1..=1000).contains(&delete.targets.len()));
    }
    if let Ok(parts) = parse_complete(data) {
        assert!(parts.windows(2).all(|pair| pair[0].number < pair[1].number));
        assert!((1..=10_000).contains(&parts.len()));
    }
    let _ = parse_create_bucket(data);
    if let Ok(tags) = granary_s3::tags::of_document(data, 10) {
        assert!(tags.len() <= 10 && tags.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
    if let Ok(restore) = parse_restore(data) {
        assert!(restore.days > 0);
    }
    fuzzing::check_configurations(data);
    fuzzing::check_encryption(data);
    fuzzing::check_notifications(data);
    fuzzing::check_documents(data);
}
