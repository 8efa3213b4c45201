use std::sync::Arc;

use super::super::scan::read_walked;
use super::*;
use crate::maintain::Walk;
use crate::maintain::sample::Sample;

/// Three stripes: one of all columns that landed everywhere, the next, and a third with the last data.
fn sample(last: &[&[u8]]) -> (Sample, u64) {
    let mut sample = Sample::new();
    sample.add(9_000, &[0, 1, 2]);
    let torn_at = sample.end;
    last.iter().for_each(|columns| sample.add(9_000, columns));
    (sample, torn_at)
}

fn cut(sample: &mut Sample, column: usize, at: u64) {
    let (bytes, _) = sample.columns[column].as_mut().unwrap();
    bytes.truncate(usize::try_from(at).unwrap());
}

fn zero(sample: &mut Sample, column: usize, (from, to): (u64, u64)) {
    let (bytes, _) = sample.columns[column].as_mut().unwrap();
    let to = bytes.len().min(usize::try_from(to).unwrap());
    bytes[usize::try_from(from).unwrap()..to].fill(0);
}

fn lengths(sample: &Sample) -> Vec<Option<u64>> {
    sample.columns.iter().map(|column| column.as_ref().map(|(bytes, _)| bytes.len() as u64)).collect()
}

async fn read_with(sample: &Sample, lengths: Vec<Option<u64>>, known_end: u64) -> FoundVolume {
    let (map, view) = (sample.map(), Arc::clone(&sample.view));
    let walk = Walk::new(Arc::clone(&view), sample.end);
    let found = FoundVolume { lengths, ..FoundVolume::of_view(&view, known_end) };
    read_walked(&map, view, walk, found).await.unwrap().volume
}

async fn read(sample: &Sample, known_end: u64) -> FoundVolume {
    read_with(sample, lengths(sample), known_end).await
}

const WIDE_AND_NARROW: [&[u8]; 2] = [&[0, 1, 2], &[0]];

/// The end was raised over it, and a heal counted a stripe as lost of which nothing had been acknowledged.
#[tokio::test]
async fn a_stripe_of_which_one_column_landed_was_committed() {
    for left in 0..5_usize {
        let (mut sample, torn_at) = sample(&WIDE_AND_NARROW);
        (0..5).filter(|column| *column != left).for_each(|column| cut(&mut sample, column, torn_at));
        let before = sample.stripes[0];
        for known_end in [0, torn_at] {
            let found = read(&sample, known_end).await;
            // The third stripe can be rebuilt from each of its columns.
            let torn = if [0, 3, 4].contains(&left) { 2 } else { 1 };
            assert_eq!((found.end, found.torn_stripes, found.lost_stripes), (torn_at, torn, 0), "{left}");
            assert_eq!(found.stored_bytes, 5 * (before.1 - before.0));
            assert_eq!((found.unreadable_records, found.epoch), (3, 1), "only the first stripe counts");
        }
        // What is known to be committed is lost.
        let found = read(&sample, sample.end).await;
        assert_eq!((found.end, found.torn_stripes), (sample.end, 0));
        assert!(found.lost_stripes > 0);
    }
}

/// After a power cut files may be as long as they were, and hold nothing.
#[tokio::test]
async fn where_the_files_are_long_enough_the_end_does_not_move_back() {
    for left in 0..5_usize {
        let (mut sample, torn_at) = sample(&WIDE_AND_NARROW);
        let end = sample.end;
        (0..5).filter(|column| *column != left).for_each(|column| zero(&mut sample, column, (torn_at, end)));
        // A file is not written beyond its last block.
        let lengths = vec![Some(end); 5];
        let found = read_with(&sample, lengths, torn_at).await;
        assert!(found.end > torn_at, "{left}");
        assert_eq!(found.torn_stripes, 0);
    }
}

/// A file that is not there is not short, and as many may be short as there is parity.
#[tokio::test]
async fn damage_that_a_volume_bears_tears_nothing() {
    for (gone, short) in [(vec![1, 2], vec![3, 4]), (vec![], vec![0, 1]), (vec![0, 1, 2, 4], vec![])] {
        let (mut sample, torn_at) = sample(&[&[0, 1, 2]]);
        gone.iter().for_each(|column| sample.columns[*column] = None);
        short.iter().for_each(|column| cut(&mut sample, *column, torn_at));
        assert_eq!(read(&sample, torn_at).await.torn_stripes, 0, "{gone:?} {short:?}");
    }
    let (mut sample, torn_at) = sample(&[&[0, 1, 2]]);
    sample.columns[1] = None;
    [0, 3, 4].iter().for_each(|column| cut(&mut sample, *column, torn_at));
    let found = read(&sample, torn_at).await;
    assert_eq!((found.end, found.torn_stripes), (torn_at, 1));
}

/// It was counted as lost, and the end was raised over it.
#[tokio::test]
async fn a_hole_was_left_by_a_stripe_of_which_nothing_landed() {
    let (mut sample, torn_at) = sample(&[&[0], &[1]]);
    [0, 2, 3, 4].iter().for_each(|column| cut(&mut sample, *column, torn_at));
    for known_end in [0, torn_at] {
        let found = read(&sample, known_end).await;
        assert_eq!((found.end, found.torn_stripes, found.lost_stripes), (torn_at, 2, 0));
    }
    sample.columns[0] = None;
    sample.columns[3] = None;
    let found = read(&sample, torn_at).await;
    assert_eq!((found.end, found.torn_stripes, found.lost_stripes), (sample.end, 0, 1));
}

/// Of a volume of which nothing is remembered, files may have been cut long after all was acknowledged.
#[tokio::test]
async fn what_is_sound_on_all_its_columns_is_only_left_out_where_the_end_is_remembered() {
    let (mut sample, torn_at) = sample(&WIDE_AND_NARROW);
    let (from, to) = sample.stripes[1];
    [1, 2, 3].iter().for_each(|column| zero(&mut sample, *column, (from, to)));
    // With a wider code than this one's a third stripe has no column that is too short for the second.
    let long = Some(sample.end);
    let lengths = vec![long, Some(torn_at), Some(torn_at), Some(torn_at), long];
    let found = read_with(&sample, lengths.clone(), 0).await;
    assert_eq!((found.end, found.torn_stripes, found.lost_stripes), (sample.end, 0, 1));
    let found = read_with(&sample, lengths, torn_at).await;
    assert_eq!((found.end, found.torn_stripes, found.lost_stripes), (torn_at, 2, 0));
}
