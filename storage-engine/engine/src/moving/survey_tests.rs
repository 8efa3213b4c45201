use super::*;

fn shards(created_ms: i64, profile: (u8, u8), columns: &[u8]) -> Vec<BackupName> {
    let id = ClusterId::from_bytes([u8::try_from(created_ms).unwrap(); 16]);
    columns.iter().map(|column| BackupName { created_ms, id, profile, column: *column }).collect()
}

fn survey(shards: &[Vec<BackupName>], away: usize) -> Survey {
    Survey { shards: shards.concat(), away, parity_min: 2 }
}

#[test]
fn backups_count_by_the_columns_that_are_there() {
    let held = [
        shards(1, (4, 2), &[0, 1, 2, 3, 4, 5]),
        shards(3, (4, 2), &[5, 0, 1, 4]),
        shards(4, (4, 2), &[1, 2, 3, 3]),
        shards(2, (1, 2), &[2]),
    ];
    let all_answer = survey(&held, 0);
    assert_eq!(all_answer.readable(), [3, 2, 1]);
    assert_eq!(all_answer.newest(), Some(3));
    // The fourth column may be on the drive that does not answer: no other is made in its place meanwhile.
    let one_away = survey(&held, 1);
    assert_eq!(one_away.readable(), [3, 2, 1]);
    assert_eq!(one_away.newest(), Some(4));
}

#[test]
fn a_backup_that_is_lost_sooner_than_the_data_counts_for_nothing() {
    // The first node's, when it was alone.
    let alone = survey(&[shards(5, (1, 0), &[0]), shards(4, (2, 1), &[0, 1, 2])], 0);
    assert_eq!((alone.readable(), alone.newest()), (vec![], None));
    assert_eq!(survey(&[], 6).newest(), None);
}

#[test]
fn records_were_let_go_for_a_backup_that_the_next_lost_drive_takes_along() {
    let mut held = vec![shards(3, (4, 2), &[0, 1, 2, 3]), shards(2, (4, 2), &[0, 1, 2, 3, 4])];
    assert_eq!(survey(&held, 0).readable(), [3, 2]);
    assert_eq!(survey(&held, 0).newest_as_safe_as_data(), None);
    // What is on drives that are away counts when they are back.
    assert_eq!(survey(&held, 2).newest_as_safe_as_data(), None);
    held.push(shards(1, (2, 2), &[0, 1, 2, 3]));
    assert_eq!(survey(&held, 0).newest_as_safe_as_data(), Some(1));
    held.push(shards(4, (4, 2), &[0, 1, 2, 3, 4, 5]));
    assert_eq!(survey(&held, 0).newest_as_safe_as_data(), Some(4));
    // One drive bears no loss, and nothing on it does.
    let alone = Survey { shards: shards(5, (1, 0), &[0]), away: 0, parity_min: 0 };
    assert_eq!(alone.newest_as_safe_as_data(), Some(5));
}

#[test]
fn nothing_is_removed_for_backups_that_cannot_be_read() {
    let mut held = vec![shards(1, (4, 2), &[0, 1, 2, 3]), shards(2, (4, 2), &[0, 1, 2, 3, 4])];
    assert_eq!((survey(&held, 0).kept_from_ms(2), survey(&held, 0).kept_from_ms(3)), (1, i64::MIN));
    // Of a newer one too few shards are whole.
    held.push(shards(3, (4, 2), &[0, 1, 2]));
    let held = survey(&held, 0);
    assert_eq!((held.kept_from_ms(1), held.kept_from_ms(2), held.kept_from_ms(0)), (2, 1, i64::MIN));
    assert_eq!((held.holds(2), held.holds(3), held.holds(9)), (true, false, false));
}

#[test]
fn a_survey_is_believed_for_a_minute_and_the_last_one_counts() {
    let surveys = Surveys::default();
    assert!(surveys.recent().is_none());
    surveys.remember(survey(&[shards(1, (1, 2), &[0])], 0));
    surveys.remember(survey(&[shards(2, (1, 2), &[0])], 0));
    assert_eq!(surveys.recent().unwrap().readable(), [2]);
    let long_ago = Instant::now().checked_sub(BELIEVED).unwrap();
    surveys.0.lock().as_mut().unwrap().0 = long_ago;
    assert!(surveys.recent().is_none());
}

fn space(drive: u8, free_bytes: u64) -> Space {
    Space { drive: DriveId::from_bytes([drive; 16]), free_bytes, total_bytes: 1 << 40 }
}

const LIMIT: VolumeLimit = VolumeLimit(1 << 30);
const WANTED: Redundancy = Redundancy { data: 4, parity: 2 };

#[test]
fn a_full_drive_is_given_no_column_of_a_backup() {
    let mut drives: Vec<Space> = (0..7).map(|drive| space(drive, 1 << 39)).collect();
    // Less than is left to the metadata.
    drives[3].free_bytes = 1 << 20;
    for turn in 0..20 {
        let (placed, profile) = choose((&drives[..], LIMIT), 7, WANTED, |_| Site::default(), turn).unwrap();
        assert_eq!((placed.len(), profile.columns()), (6, 6));
        assert!(!placed.contains(&drives[3].drive), "{placed:?}");
    }
    // With six left of which one is full, none is made with less: it is no lost drive.
    let refused = choose((&drives[..6], LIMIT), 7, WANTED, |_| Site::default(), 0);
    assert!(matches!(refused, Err(EngineError::NoSpace)), "{refused:?}");
    drives.remove(3);
    let (placed, profile) = choose((&drives[..5], LIMIT), 7, WANTED, |_| Site::default(), 0).unwrap();
    assert_eq!((placed.len(), profile.data(), profile.parity()), (5, 3, 2));
    let too_few = choose((&drives[..2], LIMIT), 7, WANTED, |_| Site::default(), 0);
    assert!(matches!(too_few, Err(EngineError::Unavailable { .. })), "{too_few:?}");
}
