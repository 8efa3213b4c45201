use super::*;

#[test]
fn the_bound_after_a_prefix_is_the_next_string_in_byte_order() {
    assert_eq!(after_prefix(b"a/"), Some(b"a0".to_vec()));
    assert_eq!(after_prefix(b"a\xff"), Some(b"b".to_vec()));
    assert_eq!(after_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
    assert_eq!(after_prefix(b"\xff\xff"), None);
    assert_eq!(after_prefix(b""), None);
    assert_eq!(after_prefix("\u{10FFFF}".as_bytes()), Some(b"\xf4\x8f\xbf\xc0".to_vec()));
}

#[test]
fn common_prefixes_end_with_the_first_delimiter_after_the_prefix() {
    assert_eq!(common_prefix("a/b/c", "", Some("/")), Some("a/"));
    assert_eq!(common_prefix("a/b/c", "a/", Some("/")), Some("a/b/"));
    assert_eq!(common_prefix("a/b", "a/", Some("/")), None);
    assert_eq!(common_prefix("a::b", "", Some("::")), Some("a::"));
    assert_eq!(common_prefix("a/b", "", None), None);
}

#[test]
fn a_page_starts_behind_a_rolled_up_prefix_only_if_the_marker_is_one() {
    let start = |prefix, delimiter, after| Cursor::start(prefix, delimiter, after);
    let at = |bound: &str, inclusive| Some(Cursor { bound: bound.as_bytes().to_vec(), inclusive });
    assert_eq!(start("", Some("/"), Some("a/")), at("a0", true));
    assert_eq!(start("", Some("/"), Some("a/b")), at("a/b", false));
    assert_eq!(start("", None, Some("a/")), at("a/", false));
    assert_eq!(start("b", Some("/"), Some("a/")), at("b", true));
    assert_eq!(start("b", None, None), at("b", true));
    assert_eq!(start("b", None, Some("c")), at("c", false));
}
