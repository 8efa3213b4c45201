use granary_metadata::conformance::sample;
use granary_types::StorageClass;

use super::super::transition_of;
use super::*;

const BYTES_MAX: usize = 1_000;

/// An object of that length, with so many writes behind its own.
fn ready(length: usize, behind: usize) -> Ready {
    let object = sample::object(1, granary_metadata::Content::Empty, 0);
    let transition = transition_of(&sample::bucket(1), &sample::key("k"), &object, StorageClass::StandardIa);
    let events = vec![sample::w(sample::put_empty(1, "event", 1)); behind];
    let (bytes, record) = (Bytes::from(vec![0; length]), Vec::new());
    Ready { bytes, record, tier: Tier::All, transition, events, source: Source::Batch }
}

fn waiting(objects: impl IntoIterator<Item = (usize, usize)>) -> Waiting {
    let mut waiting = Waiting::default();
    waiting.add(objects.into_iter().map(|(length, behind)| ready(length, behind)).collect());
    waiting
}

/// How long the lots are that are taken until nothing is left.
fn lots(mut waiting: Waiting) -> Vec<usize> {
    let lots =
        std::iter::from_fn(|| (!waiting.objects.is_empty()).then(|| waiting.take(BYTES_MAX).objects.len()));
    let lots = lots.collect();
    assert_eq!((waiting.bytes, waiting.writes), (0, 0));
    lots
}

#[test]
fn lots_are_cut_by_bytes_and_by_writes() {
    assert_eq!(lots(waiting(vec![(400, 0); 7])), [3, 3, 1]);
    assert_eq!(lots(waiting([(5_000, 0), (1, 0)])), [1, 1], "what is longer than a lot is one");
    let writes = GROUP_WRITES_MAX;
    assert_eq!(lots(waiting(vec![(0, 0); writes + 1])), [writes, 1]);
    assert_eq!(lots(waiting(vec![(0, 2); writes])), [writes / 3, writes / 3, writes / 3, writes % 3]);
    assert_eq!(lots(waiting([(1, 2 * writes), (1, 0)])), [1, 1], "more writes than a group has are one lot");
}

#[test]
fn what_waits_is_full_once_it_makes_a_lot() {
    assert!(!waiting([(999, 0)]).is_full(BYTES_MAX));
    assert!(waiting([(999, 0), (1, 0)]).is_full(BYTES_MAX));
    assert!(waiting([(0, GROUP_WRITES_MAX - 1)]).is_full(BYTES_MAX));
}

#[test]
fn the_time_of_reading_counts_for_one_lot() {
    let mut waiting = waiting(vec![(1_000, 0); 2]);
    waiting.read_for = Duration::from_secs(1);
    let [first, second] = [waiting.take(BYTES_MAX), waiting.take(BYTES_MAX)];
    assert_eq!([first.read_for, second.read_for], [Duration::from_secs(1), Duration::ZERO]);
}
