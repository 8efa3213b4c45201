use super::*;

#[test]
fn only_the_null_version_exists() {
    assert!(require_current(None).is_ok());
    assert!(require_current(Some("null")).is_ok());
    let other = "0123456789abcdef0123456789abcdef";
    assert_eq!(require_current(Some(other)).unwrap_err().code(), ErrorCode::NoSuchVersion);
    assert_eq!(choose(Some(other)).unwrap(), VersionChoice::Unknown);
    for bad in ["", "x", "NULL"] {
        assert_eq!(choose(Some(bad)).unwrap_err().code(), ErrorCode::InvalidArgument, "{bad}");
    }
}
