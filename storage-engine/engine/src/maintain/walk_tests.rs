#![allow(clippy::cast_possible_truncation, reason = "test data may wrap")]

use super::super::sample::{Answers, CODE, Sample};
use super::*;
use crate::simulated::Choices;

const LENGTHS: [usize; 6] = [100, 3_000, 4_000, 9_000, 20_000, 70_000];
const PIECES: [u64; 5] = [4096, 12_288, 65_536, 204_800, 1 << 20];

/// All of a step that others go by.
fn told(step: &Step) -> String {
    match step {
        Step::Gap { from, to } => format!("gap {from}..{to}"),
        Step::Stripe(stripe) => {
            let column = |block: &Option<_>| match block {
                Some(crate::read::VerifiedBlock { header, body, .. }) => {
                    format!("{}:{}", header.column, blake3::hash(body).to_hex())
                }
                None => "-".to_owned(),
            };
            let columns: Vec<String> = stripe.blocks.iter().map(column).collect();
            let header = &stripe.header;
            format!("{} {} {columns:?}", header.stripe_offset, header.body_length_bytes)
        }
    }
}

async fn walked(sample: &Sample, piece_bytes: u64) -> Vec<String> {
    let map = sample.map();
    let mut walk = Walk { piece_bytes, ..Walk::new(Arc::clone(&sample.view), sample.end) };
    let mut steps = Vec::new();
    loop {
        match walk.next(&map).await {
            Ok(Some(step)) => steps.push(told(&step)),
            Ok(None) => return steps,
            Err(error) => {
                assert!(matches!(error, EngineError::Unavailable { .. }), "{error}");
                steps.push("uncertain".to_owned());
                return steps;
            }
        }
    }
}

/// The same with every column asked for every stripe.
async fn asked(sample: &Sample) -> Vec<String> {
    let (map, view) = (sample.map(), &sample.view);
    let (mut steps, mut at, mut gap) = (Vec::new(), FileHeader::LENGTH_BYTES, None);
    while at < sample.end {
        let stripe = match read_stripe(&map, view, at).await {
            Found::Nothing => {
                gap = gap.or(Some(at));
                at += BLOCK_ALIGNMENT_BYTES;
                continue;
            }
            Found::Stripe(stripe) if !stripe.uncertain => stripe,
            Found::Stripe(_) | Found::Unknown(_) => {
                steps.push("uncertain".to_owned());
                return steps;
            }
        };
        if let Some(from) = gap.take() {
            steps.push(told(&Step::Gap { from, to: at }));
        }
        at += stripe.span_bytes();
        steps.push(told(&Step::Stripe(stripe)));
    }
    steps.extend(gap.map(|from| told(&Step::Gap { from, to: at })));
    steps
}

/// Stripes of all lengths, wide and narrow.
fn filled(choices: &Choices, stripes: u64) -> Sample {
    let mut sample = Sample::new();
    for _ in 0..stripes {
        let columns: Vec<u8> = (0..CODE.0).filter(|_| !choices.is_one_in(4)).collect();
        let columns = if columns.is_empty() { vec![choices.below(3) as u8] } else { columns };
        sample.add(LENGTHS[choices.below(6) as usize], &columns);
    }
    sample
}

/// What may happen to a drive, or to all of them.
fn harm(sample: &mut Sample, choices: &Choices) {
    let count = sample.columns.len() as u64;
    let (first, last) = (choices.below(sample.stripes.len() as u64), 1 + choices.below(4));
    let (from, _) = sample.stripes[first as usize];
    let (_, to) = sample.stripes[(first + last).min(sample.stripes.len() as u64 - 1) as usize];
    let kind = choices.below(6);
    let hit = choices.below(count);
    for (number, column) in (0..).zip(&mut sample.columns) {
        let Some((bytes, answers)) = column else { continue };
        let range = bytes.len().min(from as usize)..bytes.len().min(to as usize);
        match kind {
            0 if number == hit => *column = None,
            1 if number == hit => bytes.truncate(from as usize + 5_000),
            2 if number == hit && !range.is_empty() => {
                bytes[range.start + choices.below(3_000) as usize % range.len()] ^= 4;
            }
            // Stripes are read, windows are not; and not all stripes are.
            3 if number == hit => *answers = Answers::Short([100_000, 30_000][choices.below(2) as usize]),
            // No column has anything there.
            4 => bytes[range].fill(0),
            5 if number != hit && !range.is_empty() => bytes[range.start] ^= 1,
            _ => {}
        }
    }
}

#[tokio::test]
async fn what_is_read_ahead_is_what_asking_every_column_tells() {
    for seed in 0..40 {
        let choices = Choices::new(seed);
        let mut sample = filled(&choices, 12 + choices.below(12));
        for _ in 0..choices.below(4) {
            harm(&mut sample, &choices);
        }
        // The end of what was committed; behind it, of what a file has.
        if choices.is_one_in(4) {
            sample.end -= BLOCK_ALIGNMENT_BYTES;
        }
        let expected = asked(&sample).await;
        for piece_bytes in PIECES {
            assert_eq!(walked(&sample, piece_bytes).await, expected, "seed {seed}, pieces of {piece_bytes}");
        }
    }
}

#[tokio::test]
async fn a_gap_is_told_whole_over_the_ends_of_windows() {
    let mut sample = Sample::new();
    (0..30).for_each(|_| sample.add(9_000, &[0, 1, 2]));
    let (from, to) = (sample.stripes[3].0, sample.stripes[25].1);
    for (bytes, _) in sample.columns.iter_mut().flatten() {
        bytes[from as usize..to as usize].fill(0);
    }
    for piece_bytes in PIECES {
        let steps = walked(&sample, piece_bytes).await;
        assert_eq!((steps.len(), &steps[3]), (3 + 1 + 4, &format!("gap {from}..{to}")));
    }
}

#[tokio::test]
async fn nothing_is_concluded_from_a_column_that_cannot_be_read() {
    let mut sample = Sample::new();
    (0..9).for_each(|_| sample.add(9_000, &[0, 1]));
    // Not even if the stripes have nothing in it.
    sample.columns[2].as_mut().unwrap().1 = Answers::Never;
    for piece_bytes in PIECES {
        assert_eq!(walked(&sample, piece_bytes).await.len(), 1);
    }
}

#[test]
fn windows_are_bounded_and_hold_every_stripe_of_a_large_object() {
    for columns in 1..=24 {
        let piece = piece_bytes(columns);
        assert!(
            piece.is_multiple_of(BLOCK_ALIGNMENT_BYTES) && piece >= 300 * 1024,
            "{columns} columns: {piece}"
        );
        assert!(piece * columns as u64 <= 8 << 20 && piece <= 2 << 20, "{columns} columns: {piece}");
    }
}

#[tokio::test]
async fn a_bad_sector_costs_its_stripe_and_not_what_was_read_together_with_it() {
    let mut sample = Sample::new();
    (0..12).for_each(|_| sample.add(60_000, &[0, 1, 2]));
    for (column, stripe) in [(1, 4), (3, 5), (4, 6)] {
        let (begin, end) = sample.stripes[stripe];
        sample.columns[column].as_mut().unwrap().1 = Answers::BadAt(u64::midpoint(begin, end));
    }
    let mut walk = Walk::new(Arc::clone(&sample.view), sample.end);
    let map = sample.map();
    let mut lost = Vec::new();
    while let Some(step) = walk.next(&map).await.unwrap() {
        let Step::Stripe(stripe) = step else { panic!("a gap") };
        lost.push(stripe.lost().collect::<Vec<_>>());
    }
    let expected = |stripe| match stripe {
        4 => vec![1],
        5 => vec![3],
        6 => vec![4],
        _ => Vec::new(),
    };
    assert_eq!(lost, (0..12).map(expected).collect::<Vec<_>>());
}

/// What cannot be had without them may come back: a drive that is reset answers like that for seconds.
#[tokio::test]
async fn bad_sectors_of_more_columns_than_may_be_lost_say_nothing() {
    let mut sample = Sample::new();
    (0..12).for_each(|_| sample.add(60_000, &[0, 1, 2]));
    let (begin, end) = sample.stripes[5];
    for column in [0, 2, 3] {
        sample.columns[column].as_mut().unwrap().1 = Answers::BadAt(u64::midpoint(begin, end));
    }
    let mut walk = Walk::new(Arc::clone(&sample.view), sample.end);
    let map = sample.map();
    for _ in 0..5 {
        assert!(matches!(walk.next(&map).await.unwrap(), Some(Step::Stripe(_))));
    }
    assert!(matches!(walk.next(&map).await, Err(EngineError::Unavailable { .. })));
    // Asked again it says the same, and tells of no gap.
    assert!(matches!(walk.next(&map).await, Err(EngineError::Unavailable { .. })));
}

async fn looks_behind(sample: &Sample, from: u64) -> Result<Option<Step>> {
    let map = sample.map();
    Walk::between(Arc::clone(&sample.view), from, from + 2 * BLOCK_ALIGNMENT_BYTES).next(&map).await
}

/// Only nodes that were away counted: beside a drive that stalled they made a fail-over's tail look empty.
#[tokio::test]
async fn a_tail_is_empty_only_if_no_stripe_can_be_on_the_columns_that_were_not_asked() {
    let mut sample = Sample::new();
    sample.add(9_000, &[0, 1, 2]);
    sample.add(1_000, &[0]);
    // The narrow stripe is on these and no others.
    for column in [0, 3, 4] {
        sample.columns[column].as_mut().unwrap().1 = Answers::Never;
    }
    let narrow = sample.stripes[1].0;
    assert!(matches!(looks_behind(&sample, narrow).await, Err(EngineError::Unavailable { .. })));
    // One of them is lost: the others may still tell.
    sample.columns[4] = None;
    assert!(matches!(looks_behind(&sample, narrow).await, Err(EngineError::Unavailable { .. })));
    sample.columns[3].as_mut().unwrap().1 = Answers::Well;
    assert!(matches!(looks_behind(&sample, narrow).await, Ok(Some(Step::Stripe(_)))));
    assert!(matches!(looks_behind(&sample, sample.end).await, Ok(Some(Step::Gap { .. }))));
    // Nobody is left who might tell more.
    for column in [0, 3] {
        sample.columns[column] = None;
    }
    assert!(matches!(looks_behind(&sample, narrow).await, Ok(Some(Step::Gap { .. }))));
}
