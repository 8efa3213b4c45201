use super::*;

fn name(created_ms: i64) -> BackupName {
    BackupName { created_ms, id: ClusterId::from_bytes([0xb5; 16]), profile: (12, 4), column: 11 }
}

#[test]
fn names_tell_what_a_shard_is_of() {
    let file = name(1_790_000_000_123).file();
    let id = "b5".repeat(16);
    assert_eq!(file, format!("metadata-00000001790000000123-{id}-12+4-11.shard"));
    assert_eq!(BackupName::parse(&file), Some(name(1_790_000_000_123)));
    // Of the version before: when it was begun is all that is asked of it.
    let earlier = format!("metadata-00000001790000000123-{id}-11.shard");
    assert_eq!((BackupName::parse(&earlier), created_ms(&earlier)), (None, Some(1_790_000_000_123)));
    for other in ["metadata-.shard", "metadata-5-x-1+1-0.shard", "other", "metadata-5.shard.new", ""] {
        assert_eq!(BackupName::parse(other), None, "{other}");
    }
}
