#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use parking_lot::Mutex;

use super::*;

const NOW: UnixMillis = UnixMillis(10_000_000);

/// A job that was asked for, and had its turn half a minute ago.
fn record(state: WarmJobState, told: UnixMillis) -> Record {
    let job = WarmJob {
        kind: WarmJobKind::Pin,
        bucket: BucketName::new("bucket").unwrap(),
        prefix: "p/".to_owned(),
        state,
        found: 10,
        copied: 4,
        bytes: 3_000,
        warm: 1,
        changed: 1,
        failed: 2,
        failure: Some("k: why".to_owned()),
        no_room: 1,
        on_ssd: 5,
        archived: 5,
        asked: UnixMillis(1),
        began: Some(UnixMillis(NOW.0 - 30_000)),
        left_bytes: 500,
        is_listed: true,
    };
    Record { number: WarmJobId(7), node: None, told, job }
}

#[test]
fn a_job_tells_how_long_it_takes() {
    let job = TierJob::of(record(WarmJobState::Running, NOW), true, NOW);
    assert_eq!(
        (job.work, job.state.clone(), job.done, job.no_room, job.found),
        (TierWork::Pin, TierJobState::Running, 9, 1, 10)
    );
    assert_eq!(job.failures, Failures { count: 2, last: Some("k: why".to_owned()) });
    assert_eq!(job.time_left, Some(Duration::from_secs(5)), "500 bytes at 100 bytes a second");
    let mut waiting = record(WarmJobState::Running, NOW);
    (waiting.job.began, waiting.job.bytes) = (None, 0);
    let waiting = TierJob::of(waiting, true, NOW);
    assert_eq!(
        (waiting.state, waiting.time_left, waiting.since),
        (TierJobState::Waiting, None, UnixMillis(1))
    );
    let done = TierJob::of(record(WarmJobState::Done, UnixMillis(5)), false, NOW);
    assert_eq!((done.state, done.time_left), (TierJobState::Done, None));
}

#[test]
fn a_job_that_nobody_tells_of_was_cut_off() {
    let state = |told: i64, is_known| {
        TierJob::of(record(WarmJobState::Running, UnixMillis(NOW.0 - told)), is_known, NOW).state
    };
    assert_eq!(state(60_000, true), TierJobState::Running);
    assert_eq!(state(-60_000, true), TierJobState::Running, "by a clock that is ahead");
    assert_eq!(state(60_001, true), TierJobState::Interrupted);
    assert_eq!(state(0, false), TierJobState::Interrupted, "its process does not know it");
}

#[test]
fn what_was_told_is_read_again() {
    let told = record(WarmJobState::Failed("no room".to_owned()), NOW);
    let read: Record = serde_json::from_slice(&serde_json::to_vec(&told).unwrap()).unwrap();
    assert_eq!((read.number, read.node, read.told, read.job), (told.number, told.node, told.told, told.job));
}

#[test]
fn what_is_at_work_comes_first() {
    let of = |state, since: i64| {
        let mut record = record(state, NOW);
        record.job.began = Some(UnixMillis(since));
        TierJob::of(record, true, NOW)
    };
    let restore = TierJob { work: TierWork::Restore(Urgency::Bulk), ..of(WarmJobState::Running, 5) };
    let mut jobs = [
        of(WarmJobState::Done, 1),
        of(WarmJobState::Done, 2),
        of(WarmJobState::Running, 4),
        of(WarmJobState::Running, 3),
        restore,
    ];
    jobs.sort_by_key(TierJob::rank);
    assert_eq!(jobs.map(|job| job.since.0), [5, 3, 4, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_job_stood_still_while_a_slow_store_was_told_of_it() {
    let (began, slow) = (tokio::time::Instant::now(), Duration::from_secs(60));
    let (told, second) = (Mutex::new(Vec::new()), Duration::from_secs(1));
    let work = async {
        for _ in 0..90 {
            tokio::time::sleep(second).await;
        }
        began.elapsed()
    };
    let tell = || async {
        tokio::time::sleep(slow).await;
        told.lock().push(began.elapsed());
    };
    assert_eq!(telling(work, tell).await, second * 90);
    // The second was under way when the work was done, and nothing is told behind it.
    assert_eq!(*told.lock(), [slow, slow + TELL + slow]);
    assert_eq!(began.elapsed(), slow + TELL + slow);
}
