use super::*;

fn take(unread: &Unread, offset: u64) -> Option<(u64, u64)> {
    unread.take(offset).map(|(from, length_bytes)| (from, length_bytes.get()))
}

#[test]
fn a_window_is_told_once_after_each_write_and_only_as_far_as_was_written() {
    let unread = Unread::default();
    assert_eq!(take(&unread, 0), None);
    unread.wrote(WINDOW_BYTES / 2, WINDOW_BYTES);
    assert_eq!(take(&unread, 5), Some((0, WINDOW_BYTES)));
    assert_eq!(take(&unread, WINDOW_BYTES - 1), None);
    assert_eq!(take(&unread, WINDOW_BYTES), Some((WINDOW_BYTES, WINDOW_BYTES / 2)));
    unread.wrote(WINDOW_BYTES * 3 / 2, 1);
    assert_eq!(take(&unread, WINDOW_BYTES), Some((WINDOW_BYTES, WINDOW_BYTES / 2 + 1)));
    assert_eq!(take(&unread, 2 * WINDOW_BYTES), None);
    assert_eq!(take(&unread, u64::MAX), None);
}

#[test]
fn windows_far_into_a_file_are_told_apart() {
    let unread = Unread::default();
    unread.wrote(200 * WINDOW_BYTES, 2 * WINDOW_BYTES);
    for window in [199, 202, 136, 72] {
        assert_eq!(take(&unread, window * WINDOW_BYTES), None);
    }
    assert_eq!(take(&unread, 201 * WINDOW_BYTES), Some((201 * WINDOW_BYTES, WINDOW_BYTES)));
    assert_eq!(take(&unread, 200 * WINDOW_BYTES), Some((200 * WINDOW_BYTES, WINDOW_BYTES)));
}

#[test]
fn of_many_files_the_last_are_remembered() {
    let files = UnreadFiles::default();
    let path = |number: usize| PathBuf::from(number.to_string());
    for number in 0..=FILES_MAX {
        let unread = Arc::new(Unread::default());
        unread.wrote(number as u64 * WINDOW_BYTES, 1);
        files.add(&path(number), unread);
    }
    assert!(files.of(&path(0)).is_none());
    for number in [1, FILES_MAX] {
        let offset = number as u64 * WINDOW_BYTES;
        assert_eq!(take(&files.of(&path(number)).unwrap(), offset), Some((offset, 1)));
        assert_eq!(take(&files.of(&path(number)).unwrap(), offset), None, "whoever opens it shares it");
    }
}
