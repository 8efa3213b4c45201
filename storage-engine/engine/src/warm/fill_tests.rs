#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

#[test]
fn a_round_fills_a_tenth_or_one_object_that_is_not_much_more() {
    let fills = Fills::new(1_000);
    assert!(fills.takes(100) && fills.takes(125) && !fills.takes(126));
    let begun =
        Fills { left_bytes: 30, largest_bytes: 125, wishes: BTreeMap::from([(2, (2_000, Vec::new()))]) };
    assert!(begun.takes(30) && !begun.takes(31));
    assert!(!Fills::new(0).takes(1));
}
