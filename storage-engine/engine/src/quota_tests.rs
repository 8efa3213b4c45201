use super::*;

fn limits(bytes_max: Option<u64>, objects_max: Option<u64>) -> BucketLimits {
    BucketLimits { bytes_max, objects_max, requests_per_s: None }
}

fn one(bytes: u64) -> Amount {
    Amount { bytes, objects: 1 }
}

#[test]
fn writes_take_what_is_left_and_no_more() {
    let limits = limits(Some(100), Some(3));
    let mut ledger = Ledger::default();
    assert_eq!(ledger.take(&limits, one(60)), Ok(()));
    assert_eq!(ledger.take(&limits, one(41)), Err(Quota::Bytes(100)));
    assert_eq!(ledger.take(&limits, one(40)), Ok(()));
    assert_eq!(ledger.take(&limits, one(0)), Ok(()));
    assert_eq!(ledger.take(&limits, one(0)), Err(Quota::Objects(3)));
    assert_eq!(ledger.take(&limits, Amount::default()), Ok(()));
}

#[test]
fn what_ended_counts_until_it_is_read() {
    let limits = limits(Some(100), None);
    let mut ledger = Ledger::default();
    ledger.take(&limits, one(60)).unwrap_or_else(|quota| unreachable!("{quota:?}"));
    ledger.end(one(60));
    assert_eq!(ledger.take(&limits, one(41)), Err(Quota::Bytes(100)));
    // It failed: nothing is there.
    let ended = ledger.ended;
    ledger.learn(BucketUsage::default(), ended, Instant::now());
    assert_eq!(ledger.take(&limits, one(100)), Ok(()));
    // A read that was begun before changes nothing any more.
    ledger.end(one(100));
    let ended = ledger.ended;
    ledger.learn(BucketUsage { bytes: 100, objects: 1 }, ended, Instant::now());
    ledger.learn(BucketUsage::default(), Amount::default(), Instant::now());
    assert_eq!(ledger.take(&limits, one(1)), Err(Quota::Bytes(100)));
}

#[test]
fn a_lowered_quota_keeps_what_is_there_and_takes_what_adds_nothing() {
    let limits = limits(Some(10), Some(1));
    let mut ledger = Ledger { usage: BucketUsage { bytes: 50, objects: 9 }, ..Ledger::default() };
    assert_eq!(ledger.take(&limits, one(0)), Err(Quota::Objects(1)));
    assert_eq!(ledger.take(&limits, Amount { bytes: 1, objects: 0 }), Err(Quota::Bytes(10)));
    assert_eq!(ledger.take(&limits, Amount::default()), Ok(()));
}

#[test]
fn limits_of_later_releases_are_understood() {
    let read = |text: &str| BucketLimits::decode(text.as_bytes()).ok();
    assert_eq!(read("{}"), Some(BucketLimits::default()));
    assert_eq!(read(r#"{"bytes_max":5,"more":1}"#), Some(limits(Some(5), None)));
    assert_eq!(read("5"), None);
}
