use crate::aws_managed::ALL;

use super::parsed;

#[test]
fn the_policies_of_aws_can_be_read() {
    for managed in ALL {
        assert!(parsed(managed.text.as_bytes()).is_some(), "{}", managed.name);
        assert_eq!(managed.id.len(), 21, "{}", managed.name);
    }
    assert!(parsed(b"[]").is_none());
}
