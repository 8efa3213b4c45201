use super::*;

fn ends() -> Ends {
    Ends { ends: [("v".to_owned(), 4096)].into() }
}

#[test]
fn what_is_remembered_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("meta")).unwrap();
    write_ends(dir.path(), &dir.path().join("meta"), &ends()).unwrap();
    assert_eq!(read_ends(dir.path()), Some(ends()));
}

#[test]
fn no_flipped_bit_passes_for_another_end() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("meta")).unwrap();
    write_ends(dir.path(), &dir.path().join("meta"), &ends()).unwrap();
    let path = dir.path().join(FILE);
    let sound = fs::read(&path).unwrap();
    for bit in 0..sound.len() * 8 {
        let mut rotten = sound.clone();
        rotten[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, rotten).unwrap();
        // Where the name of the hash is damaged the ends are not.
        assert!(read_ends(dir.path()).is_none_or(|read| read == ends()), "bit {bit}");
    }
    fs::write(&path, r#"{"ends":{"v":4096}}"#).unwrap();
    assert_eq!(read_ends(dir.path()), Some(ends()), "as earlier builds wrote it");
}

#[test]
fn nothing_is_written_to_a_directory_that_was_emptied() {
    let dir = tempfile::tempdir().unwrap();
    assert!(write_ends(dir.path(), &dir.path().join("meta"), &ends()).is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

fn row(n: u8, end: u64, state: VolumeState) -> VolumeRow {
    let volume = granary_metadata::NewVolume {
        id: VolumeId::from_bytes([n; 16]),
        data_columns: 1,
        parity_columns: 0,
        drives: Vec::new(),
        opened: UnixMillis(i64::from(n)),
    };
    let epoch = granary_types::Epoch::FIRST;
    VolumeRow { volume, state, epoch, committed_end: end, live_bytes: 0, stored_bytes: 0, freed: None }
}

fn page(rows: Vec<VolumeRow>, is_first: bool, is_last: bool) -> Page {
    Page { rows, is_first, is_last }
}

#[test]
fn a_restart_forgets_no_end_before_all_volumes_were_met() {
    let before = Ends { ends: [(VolumeId::from_bytes([9; 16]).to_string(), 90)].into() };
    let mut remembered = Remembered { before: Before::Kept(before), ..Remembered::default() };
    remembered.learn_page(&page(vec![row(1, 10, VolumeState::Open)], true, false));
    assert_eq!(remembered.ends().ends.values().sum::<u64>(), 100);
    remembered.learn_page(&page(vec![row(2, 20, VolumeState::Open)], false, true));
    assert_eq!(remembered.ends().ends.values().sum::<u64>(), 30);
}

#[test]
fn an_end_that_goes_back_is_noticed_at_once_and_not_believed() {
    let mut remembered = Remembered::default();
    let mut learn = |end, state| remembered.learn_page(&page(vec![row(1, end, state)], true, true));
    assert_eq!(learn(20, VolumeState::Open), None);
    assert_eq!(learn(20, VolumeState::Sealed), None);
    let volume = VolumeId::from_bytes([1; 16]);
    assert_eq!(learn(10, VolumeState::Sealed), Some(WentBack { volume, known: 20, is: 10 }));
    assert_eq!(learn(0, VolumeState::Open), Some(WentBack { volume, known: 20, is: 0 }));
    assert_eq!(remembered.ends().ends.values().copied().collect::<Vec<_>>(), [20]);
}

#[test]
fn ends_are_learned_page_by_page_and_forgotten_with_their_volumes() {
    let mut remembered = Remembered::default();
    let ends = |remembered: &Remembered| -> Vec<u64> { remembered.newest().map(|(_, end)| end).collect() };
    let open = VolumeState::Open;
    remembered.learn_page(&page(vec![row(1, 10, open), row(2, 20, open)], true, false));
    remembered.learn_page(&page(vec![row(3, 30, open), row(4, 0, open)], false, true));
    assert_eq!(ends(&remembered), [30, 20, 10]);
    // The second is freed, the third is gone; what is on a page that did not come yet is still known.
    remembered.learn_page(&page(vec![row(1, 11, open), row(2, 20, VolumeState::Freed)], true, false));
    assert_eq!(ends(&remembered), [30, 11]);
    remembered.learn_page(&page(vec![row(4, 40, open)], false, true));
    assert_eq!(ends(&remembered), [40, 11]);
}
