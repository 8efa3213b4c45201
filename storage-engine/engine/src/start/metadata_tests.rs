use super::*;

fn id(n: u8) -> DriveId {
    DriveId::from_bytes([n; 16])
}

/// Drive `n`, in the slot before that number.
fn row(n: u8, state: DriveState) -> DriveRow {
    let class = granary_types::DriveClass::Ssd;
    DriveRow { id: id(n), slot: u16::from(n) - 1, path: String::new(), state, class }
}

fn ours() -> Vec<DriveId> {
    vec![id(1), id(2)]
}

#[test]
fn an_empty_database_fits_only_a_new_store() {
    assert!(check_drives(&[], &ours(), true).is_ok());
    assert!(matches!(check_drives(&[], &ours(), false), Err(EngineError::Layout(_))));
}

#[test]
fn a_database_of_other_drives_is_refused_and_replaced_drives_do_not_count() {
    let known = [row(1, DriveState::Active), row(2, DriveState::Active), row(3, DriveState::Retired)];
    assert!(check_drives(&known, &ours(), false).is_ok());
    let other = [row(1, DriveState::Active), row(3, DriveState::Active)];
    assert!(matches!(check_drives(&other, &ours(), false), Err(EngineError::Layout(_))));
    assert!(matches!(
        check_drives(&[row(3, DriveState::Active)], &ours(), true),
        Err(EngineError::Layout(_))
    ));
}

#[test]
fn a_database_that_was_not_told_of_a_replacement_is_that_of_these_drives() {
    // The second was replaced by the ninth.
    let now = [id(1), id(9)];
    let known = [row(1, DriveState::Active), row(2, DriveState::Active)];
    assert!(check_drives(&known, &now, false).is_ok());
    let retired = [row(1, DriveState::Active), row(2, DriveState::Retired)];
    assert!(check_drives(&retired, &now, false).is_ok());
    // A drive in another place is another node's, and so is every other when nothing was replaced.
    let more = [row(1, DriveState::Active), row(2, DriveState::Active), row(3, DriveState::Active)];
    assert!(check_drives(&more, &now, false).is_err());
    let twice = [row(1, DriveState::Active), DriveRow { id: id(9), ..row(2, DriveState::Active) }];
    assert!(check_drives(&twice, &ours(), false).is_ok(), "the ninth was replaced by the second");
    assert!(check_drives(&[twice.as_slice(), &known[1..]].concat(), &ours(), false).is_err());
    // Of a store of which no drive is here, all were not replaced.
    for fresh in [true, false] {
        assert!(check_drives(&known, &[id(7), id(8)], fresh).is_err());
    }
}
