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
