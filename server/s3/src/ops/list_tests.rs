use super::*;

#[test]
fn an_order_is_given_up_only_without_a_delimiter_and_where_it_means_something() {
    let refused = |dialect, unordered, delimiter| check_order(dialect, unordered, delimiter).is_err();
    assert!(refused(Dialect::Ceph, Some("true"), Some("/")));
    assert!(!refused(Dialect::Ceph, Some("true"), None));
    assert!(!refused(Dialect::Ceph, Some("false"), Some("/")));
    assert!(!refused(Dialect::Ceph, None, Some("/")));
    assert!(!refused(Dialect::Aws, Some("true"), Some("/")));
}
