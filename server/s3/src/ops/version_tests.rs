use super::*;

#[test]
fn version_ids_are_read_as_they_are_shown() {
    assert_eq!(named(None).unwrap(), None);
    assert_eq!(named(Some("null")).unwrap(), Some(VersionId::NULL));
    let text = "0123456789abcdef0123456789abcdef";
    assert_eq!(shown(named(Some(text)).unwrap().unwrap()), text);
    assert_eq!(shown(VersionId::NULL), "null");
    for bad in ["", "x", "NULL"] {
        assert_eq!(named(Some(bad)).unwrap_err().code(), ErrorCode::InvalidArgument, "{bad}");
    }
}
