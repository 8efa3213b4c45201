use granary_types::VersionId;

use super::*;
use crate::error::ErrorCode;

#[test]
fn markers_are_version_ids_or_what_a_page_gave() {
    assert_eq!(marker_of("", "").unwrap(), None);
    assert_eq!(marker_of("k", "null").unwrap(), Some(VersionMarker::Id(VersionId::NULL)));
    assert_eq!(marker_of("k", "null.1f").unwrap(), Some(VersionMarker::Order(31)));
    let id = "0123456789abcdef0123456789abcdef";
    assert_eq!(marker_of("k", id).unwrap(), Some(VersionMarker::Id(id.parse().unwrap())));
    for (key, marker) in [("", "null"), ("k", "x"), ("k", "null."), ("k", ".1"), ("k", "null.-1")] {
        assert_eq!(marker_of(key, marker).unwrap_err().code(), ErrorCode::InvalidArgument, "{marker}");
    }
}
