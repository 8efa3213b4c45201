use super::*;

const PAGE: u64 = PAGE_LENGTH_BYTES as u64;

fn page(path: &Path, inode: u64, number: u64) -> BadPage {
    BadPage { path: path.to_owned(), inode, offset: number * PAGE, errno: 5 }
}

#[test]
fn a_bad_page_is_told_to_those_who_need_it_until_it_is_written_or_old() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shard");
    std::fs::write(&path, [0; 100]).unwrap();
    let file = File::open(&path).unwrap();
    let inode = file.metadata().unwrap().ino();
    let (pages, now) = (BadPages::default(), Instant::now());
    let is_bad = |span| pages.error_within(&path, &file, span, now).is_some();
    pages.note(page(&path, inode, 3), now);
    assert!(
        is_bad((0, 4 * PAGE)) && is_bad((3 * PAGE + 7, 3 * PAGE + 8)) && is_bad((4 * PAGE - 1, 9 * PAGE))
    );
    assert!(!is_bad((0, 3 * PAGE)) && !is_bad((4 * PAGE, 9 * PAGE)));
    let other = dir.path().join("other");
    assert!(pages.error_within(&other, &file, (0, 9 * PAGE), now).is_none());
    pages.forget(&path, (0, 3 * PAGE));
    assert!(is_bad((0, 4 * PAGE)));
    pages.forget(&path, (3 * PAGE, 3 * PAGE + 1));
    assert!(!is_bad((0, 4 * PAGE)));
    // Another file took its place before the answer came.
    pages.note(page(&path, inode + 1, 3), now);
    assert!(!is_bad((0, 4 * PAGE)));
    pages.note(page(&path, inode, 3), now);
    assert!(pages.error_within(&path, &file, (0, 4 * PAGE), now + REMEMBERED).is_none());
    assert!(pages.pages().is_empty());
}

/// It was refused for half a day where nothing else had what is in it, however well it could be read by then.
#[test]
fn one_reader_tries_a_bad_page_again_after_a_while() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (path, inode) = (file.path(), file.as_file().metadata().unwrap().ino());
    let (pages, now) = (BadPages::default(), Instant::now());
    let is_refused = |number: u64, now| {
        pages.error_within(path, file.as_file(), (number * PAGE, (number + 1) * PAGE), now).is_some()
    };
    (0..2).for_each(|number| pages.note(page(path, inode, number), now));
    assert!(is_refused(0, now + TRIED_AFTER - Duration::from_millis(1)));
    let later = now + TRIED_AFTER;
    assert!(!is_refused(0, later) && is_refused(0, later));
    // The others of the drive wait for their turn.
    assert!(is_refused(1, later));
    let later = later + TRIES_APART;
    assert!(!is_refused(1, later) && is_refused(1, later) && is_refused(0, later));
    pages.forget(path, (0, PAGE));
    assert!(!is_refused(0, later) && !is_refused(0, later) && is_refused(1, later));
}

#[test]
fn no_more_pages_are_remembered_than_a_bound_and_the_newest_stay() {
    let (pages, path, now) = (BadPages::default(), Path::new("shard"), Instant::now());
    let count = PAGES_MAX as u64 + 10;
    for _twice in 0..2 {
        (0..count).for_each(|number| pages.note(page(path, 1, number), now));
    }
    assert_eq!(pages.pages().len(), PAGES_MAX);
    assert_eq!(pages.pages().back().unwrap().page, page(path, 1, count - 1));
    pages.forget_file(path);
    assert!(pages.pages().is_empty());
}

/// One that was reset reads well then; one that is gone, or has learned that the sector is bad, says so without delay.
#[test]
fn only_a_drive_that_takes_long_again_and_fails_again_has_a_bad_page() {
    let sector = || io::Error::from_raw_os_error(5);
    let slowly = |error: io::Error| {
        std::thread::sleep(Duration::from_millis(5));
        Err(error)
    };
    let look_with = |slow: Duration, fail: &dyn Fn() -> io::Result<()>| {
        first_bad_page([0, 1, 2].into_iter(), |page| if page == 1 { fail() } else { Ok(()) }, slow)
    };
    let look = |fail: &dyn Fn() -> io::Result<()>| look_with(Duration::from_millis(4), fail);
    assert_eq!(look(&|| slowly(sector())), Some((1, 5)));
    assert_eq!(look(&|| Ok(())), None);
    assert_eq!(look_with(Duration::from_mins(1), &|| Err(sector())), None);
    assert_eq!(look(&|| slowly(io::Error::other("gone"))), None);
}

#[test]
fn one_at_a_time_looks_for_a_page() {
    let pages = BadPages::default();
    let turn = pages.turn();
    assert!(turn.is_some());
    for _attempt in 0..2 {
        assert!(pages.turn().is_none(), "whoever was refused has given it away");
    }
    drop(turn);
    assert!(pages.turn().is_some());
}
