use super::*;

fn row(n: u8, state: DriveState) -> DriveRow {
    let (id, class) = (DriveId::from_bytes([n; 16]), granary_types::DriveClass::Ssd);
    DriveRow { id, slot: n.into(), path: String::new(), state, class }
}

fn ours() -> HashSet<DriveId> {
    [1, 2].into_iter().map(|n| DriveId::from_bytes([n; 16])).collect()
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
