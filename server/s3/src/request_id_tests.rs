use std::collections::HashSet;

use super::*;

#[test]
fn ids_are_unique_and_16_digits() {
    let ids = RequestIds::new(7, "node-1");
    let shown: HashSet<String> = (0..1_000).map(|_| ids.next().to_string()).collect();
    assert_eq!(shown.len(), 1_000);
    assert!(shown.iter().all(|id| id.len() == 16));
    assert_eq!(ids.host_id(), "bm9kZS0x");
}
