#![allow(clippy::unwrap_used, reason = "tests")]

use granary_types::Epoch;

use super::*;
use crate::conformance::sample::{advance, bucket_id, delete, put_blob, put_empty, put_packed, volume_id, w};
use crate::model::{BucketSettings, TagMatch, VolumeAdvance};

const END: u64 = 1 << 30;

/// The memory of a writer whose last batch was in bucket 1 and volume 1.
fn memory() -> Memory {
    let mut batch = Batch::default();
    let settings = BucketSettings::default();
    batch.buckets.insert(bucket_id(1), KnownBucket { row_hash: [1; 16], settings });
    batch.volumes.insert(volume_id(1), volume(VolumeState::Open));
    let mut memory = Memory::default();
    memory.learn(&batch);
    memory
}

fn volume(state: VolumeState) -> Volume {
    Volume { state, epoch: Epoch(3), data_columns: 2, committed_end: END, stored_bytes: 77, changed: true }
}

fn commit(writes: Vec<Write>) -> Commit {
    Commit { advances: vec![VolumeAdvance { epoch: Epoch(3), ..advance(1, END + 4096, 10) }], writes }
}

fn is_foreseen(memory: &mut Memory, commits: &[Commit]) -> bool {
    memory.foresee(&commits.iter().collect::<Vec<_>>()).is_some()
}

#[test]
fn small_puts_in_what_is_known_are_foreseen() {
    let commits =
        [commit(vec![w(put_packed(1, "a", 1, 1, 100))]), commit(vec![w(put_packed(1, "b", 2, 1, 100))])];
    let (batch, outcomes) = memory().foresee(&commits.iter().collect::<Vec<_>>()).unwrap();
    assert!(outcomes.iter().flatten().all(|outcome| matches!(outcome, Outcome::Done { replaced: None, .. })));
    assert_eq!((batch.keys.len(), batch.lived().1), (2, vec![200]));
    let stored = batch.volumes[&volume_id(1)];
    assert_eq!(
        (stored.committed_end, stored.stored_bytes),
        (END + 4096, 20),
        "what is stored is what is added"
    );
}

#[test]
fn what_is_not_known_or_does_more_is_not_foreseen() {
    let put = || w(put_packed(1, "a", 1, 1, 100));
    assert!(is_foreseen(&mut memory(), &[commit(vec![put()])]));
    let mut conditional = put_packed(1, "a", 1, 1, 100);
    conditional.conditions.if_match = Some(TagMatch::Any);
    for (what, writes) in [
        ("an unknown bucket", vec![w(put_packed(2, "a", 1, 1, 100))]),
        ("an unknown volume", vec![w(put_packed(1, "a", 1, 2, 100))]),
        ("a delete beside it", vec![put(), Write::Delete(delete(1, "b"))]),
        ("a blob", vec![w(put_blob(1, "a", 1, 1, 100))]),
        ("no place", vec![w(put_empty(1, "a", 1))]),
        ("a condition that needs the key", vec![w(conditional)]),
    ] {
        assert!(!is_foreseen(&mut memory(), &[commit(writes)]), "{what}");
    }
    let mut other_epoch = commit(vec![put()]);
    other_epoch.advances[0].epoch = Epoch(4);
    assert!(!is_foreseen(&mut memory(), &[other_epoch]));
}

#[test]
fn volumes_that_were_sealed_are_forgotten() {
    let mut memory = memory();
    let mut batch = Batch::default();
    batch.volumes.insert(volume_id(1), volume(VolumeState::Sealed));
    memory.learn(&batch);
    assert!(!is_foreseen(&mut memory, &[commit(vec![w(put_packed(1, "a", 1, 1, 100))])]));
}

#[test]
fn batches_after_one_that_was_not_as_foreseen_are_loaded() {
    let mut memory = memory();
    let commits = [commit(vec![w(put_packed(1, "a", 1, 1, 100))])];
    for rests in [1, 2, 4, 4] {
        memory.missed(4);
        for _ in 0..rests {
            assert!(!is_foreseen(&mut memory, &commits));
        }
        assert!(is_foreseen(&mut memory, &commits), "after {rests}");
    }
}

#[test]
fn a_new_session_does_not_make_a_writer_forget_that_it_was_refused() {
    let mut memory = memory();
    memory.missed(4);
    memory.missed(4);
    memory.forget();
    let commits = [commit(vec![w(put_packed(1, "a", 1, 1, 100))])];
    for _ in 0..2 {
        assert!(!is_foreseen(&mut memory, &commits));
    }
    let Memory { rests, last_rests, .. } = memory;
    assert_eq!((rests, last_rests), (0, 2));
}
