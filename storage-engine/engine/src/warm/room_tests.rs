#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

#[test]
fn what_is_cached_gives_way_when_the_ssds_fill_up() {
    let share = WarmOptions::default();
    let ssds = |free_bytes| Ssds { capacity_bytes: 1_000, free_bytes };
    assert_eq!(ssds(900).limit_bytes(&share, 0), 200, "a fifth");
    assert_eq!(ssds(150).limit_bytes(&share, 100), 150, "a tenth is left free");
    assert_eq!(ssds(50).limit_bytes(&share, 20), 0);
    let said = WarmOptions { bytes_max: Some(300), ..WarmOptions::default() };
    assert_eq!((ssds(900).limit_bytes(&said, 0), Ssds::default().limit_bytes(&said, 0)), (300, 0));
}
