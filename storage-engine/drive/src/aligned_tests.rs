use super::*;

#[test]
fn stays_on_its_page_while_it_fills_freezes_and_thaws() {
    for capacity in [1, 100, 4096, 132 * 1024, 1_100_000] {
        let mut buffer = aligned_buffer(capacity);
        assert!(buffer.is_empty() && buffer.capacity() >= capacity);
        buffer.resize(capacity, 7);
        assert!(is_aligned(&buffer));
        let thawed = buffer.freeze().try_into_mut().unwrap();
        assert!(is_aligned(&thawed) && thawed.iter().all(|&byte| byte == 7));
    }
}

#[test]
fn a_part_split_off_on_a_page_is_aligned_too() {
    let mut buffer = aligned_buffer(16384);
    buffer.resize(16384, 1);
    let rest = buffer.split_off(8192);
    assert!(is_aligned(&buffer) && is_aligned(&rest));
    assert!(!is_aligned(&rest[1..]));
}
