use granary_admin::{RestoreTier, TierJobState};

use super::*;

fn job() -> TierJobReport {
    TierJobReport {
        kind: TierJobKind::Prefetch,
        tier: None,
        job: Some(3),
        bucket: Some("corpus".to_owned()),
        prefix: Some("shards/".to_owned()),
        state: TierJobState::Running,
        reason: None,
        holder: Some("0a1b".to_owned()),
        since_ms: 0,
        objects_done: 20,
        objects_found: 1_000,
        listed: false,
        objects_failed: 0,
        last_failure: None,
        objects_without_room: 0,
        bytes_copied: 1 << 30,
        bytes_left: 2 << 30,
        seconds_left: Some(120),
    }
}

#[test]
fn a_row_tells_what_is_known_and_no_more() {
    let expected = [
        "prefetch 3",
        "s3://corpus/shards/",
        "running",
        "20 of at least 1000",
        "0",
        "1.00 GiB",
        "at least 2.00 GiB",
    ];
    let shown = row(&job());
    assert_eq!(shown[..7], expected);
    assert_eq!(shown[7..], ["at least 2 minutes", "0a1b"]);
    let failed = TierJobReport {
        state: TierJobState::Failed,
        reason: Some("why".to_owned()),
        seconds_left: None,
        listed: true,
        holder: None,
        ..job()
    };
    assert_eq!(row(&failed)[2..4], ["failed: why", "20 of 1000"]);
    assert_eq!(row(&failed)[7..], ["-", "-"]);
    let restore = TierJobReport {
        kind: TierJobKind::Restore,
        tier: Some(RestoreTier::Bulk),
        job: None,
        bucket: None,
        prefix: None,
        ..job()
    };
    assert_eq!(row(&restore)[..2], ["restore Bulk", "archived objects"]);
}

/// A prefetch that found no room for most of what it was to copy looked as if it had copied all.
#[test]
fn a_job_that_found_no_room_tells_so() {
    let full = TierJobReport { state: TierJobState::Done, objects_without_room: 14, ..job() };
    assert_eq!(row(&full)[2], "done, 14 found no room");
}

/// What failed was in the metrics alone.
#[test]
fn what_failed_is_told_with_the_last_reason() {
    let moves = TierJobReport {
        kind: TierJobKind::Move,
        job: None,
        prefix: Some(String::new()),
        state: TierJobState::Waiting,
        objects_failed: 3,
        last_failure: Some("shards/7: no room left on the drives".to_owned()),
        seconds_left: None,
        ..job()
    };
    let expected = ["move", "s3://corpus/", "waiting", "20 of at least 1000", "3", "-", "-", "-", "0a1b"];
    assert_eq!(row(&moves), expected);
    let shown = text(&[job(), moves]);
    let (_, below) = shown.split_once("last failure of ").unwrap();
    assert_eq!(below, "move s3://corpus/: shards/7: no room left on the drives");
    assert!(!text(&[job()]).contains("failure"));
}
