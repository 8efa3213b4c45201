use granary_types::{Etag, UnixMillis};

use super::*;

#[test]
fn a_delete_marker_is_matched_by_any_and_has_no_tag_time_or_length() {
    let any = WriteConditions { if_match: Some(TagMatch::Any), ..WriteConditions::default() };
    assert_eq!(left_of_marker(any.clone()), Some(WriteConditions::default()));
    let tag = Some(TagMatch::OneOf(vec![Etag::new("a")]));
    for asked in [
        WriteConditions { if_match: tag.clone(), ..WriteConditions::default() },
        WriteConditions { if_modified_at: Some(UnixMillis(0)), ..any.clone() },
        WriteConditions { if_length_bytes: Some(0), ..any },
    ] {
        assert_eq!(left_of_marker(asked), None);
    }
    let none = WriteConditions { if_none_match: tag, ..WriteConditions::default() };
    assert_eq!(left_of_marker(none.clone()), Some(none));
}
