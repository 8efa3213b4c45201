#![allow(clippy::cast_possible_truncation, reason = "test data may wrap")]

use std::sync::Arc;

use super::super::sample::{Answers, Sample};
use super::*;

const MIB: u64 = 1024 * 1024;

/// Objects by their stripe's offset, column, and where they end in it.
fn stripes(volume: u8, places: &[(u64, u8, u64)]) -> Stripes<()> {
    let mut found = Stripes::new();
    for (stripe_offset, column, end) in places {
        let volume = VolumeId::from_bytes([volume; 16]);
        let at = PackedLocation {
            volume,
            stripe_offset: *stripe_offset,
            column: *column,
            offset: stripe_offset + end - 100,
            length_bytes: 100,
            hash: [0; 32],
        };
        found.entry((volume, *stripe_offset)).or_insert_with(Vec::new).push((at, ()));
    }
    found
}

/// The offsets of the stripes of each stretch.
fn grouped(stripes: Stripes<()>) -> Vec<Vec<u64>> {
    let offsets = |stretch: &Stretch| stretch.stripes.iter().map(|wanted| wanted.offset).collect();
    stretches(stripes).iter().map(|(stretch, _)| offsets(stretch)).collect()
}

#[test]
fn stripes_that_lie_close_together_are_read_together() {
    let near = [(4096, 0, 50_000), (61_440, 1, 40_000), (61_440 + 500_000, 0, 10_000)];
    assert_eq!(grouped(stripes(1, &near)), [vec![4096, 61_440, 561_440]]);
    let far = [(4096, 0, 50_000), (4096 + 50_000 + GAP_BYTES_MAX + 1, 0, 10_000)];
    assert_eq!(grouped(stripes(1, &far)).len(), 2, "what lies between is too long");
    let long = [(0, 0, MIB / 2), (MIB / 2, 0, MIB / 2), (MIB, 0, 4096)];
    assert_eq!(grouped(stripes(1, &long)), [vec![0, MIB / 2], vec![MIB]], "a piece is as long as it may be");
    let mut two = stripes(1, &near);
    two.append(&mut stripes(2, &near));
    assert_eq!(grouped(two).len(), 2, "volumes lie apart");
}

#[test]
fn only_what_holds_something_wanted_is_read_and_counts() {
    let wanted = [(0, 2, 30_000), (MIB / 4, 4, 4000), (MIB / 2, 2, 150_001)];
    let (stretch, objects) = stretches(stripes(1, &wanted)).remove(0);
    assert_eq!((stretch.stripes(), objects.len()), (3, 3));
    let long = (MIB / 2 + 150_001).next_multiple_of(BLOCK_ALIGNMENT_BYTES);
    let spans = [(2, (0, long)), (4, (MIB / 4, MIB / 4 + BLOCK_BYTES_MIN))];
    assert_eq!(stretch.spans().into_iter().collect::<Vec<_>>(), spans);
    assert_eq!(stretch.memory_bytes(), long + BLOCK_BYTES_MIN);
    let (longer, _) = stretches(stripes(1, &[(0, 0, 3 * MIB)])).remove(0);
    assert_eq!(longer.memory_bytes(), PIECE_BYTES_MAX, "what is longer is read by itself");
    let (nonsense, _) = stretches(stripes(1, &[(u64::MAX - 200, 0, 150)])).remove(0);
    assert!(nonsense.memory_bytes() <= BLOCK_BYTES_MIN, "what no metadata should say overflows nothing");
}

#[test]
fn the_wider_a_code_is_the_shorter_are_the_pieces() {
    let row = |offset: u64| (0..16).map(move |column| (offset, column, MIB / 4));
    let wanted: Vec<_> = [0, MIB / 4, MIB / 2].into_iter().flat_map(row).collect();
    let memory_bytes: Vec<u64> =
        stretches(stripes(1, &wanted)).iter().map(|(stretch, _)| stretch.memory_bytes()).collect();
    assert_eq!(memory_bytes, [STRETCH_BYTES_MAX, STRETCH_BYTES_MAX / 2]);
}

/// What is packed in these columns, by stripe, as it reads in stretches; nothing where it cannot be read.
async fn read_together(sample: &Sample, columns: &[u8]) -> Vec<(u64, Vec<Entry>)> {
    let known = sample.map();
    known.put_view(Arc::clone(&sample.view));
    let mut wanted = Stripes::new();
    for (index, (offset, end)) in sample.stripes.iter().enumerate() {
        let place = |column: &u8| PackedLocation {
            volume: sample.view.id,
            stripe_offset: *offset,
            column: *column,
            offset: *offset + 4096,
            // The last block is longer than is to be seen.
            length_bytes: if index + 1 < sample.stripes.len() { (end - offset - 4096) as u32 } else { 1 },
            hash: [0; 32],
        };
        wanted.insert((sample.view.id, *offset), columns.iter().map(|column| (place(column), ())).collect());
    }
    let mut found = Vec::new();
    for (stretch, _) in stretches(wanted) {
        for (offset, entries) in stretch.read(&known).await {
            found.push((offset, entries.unwrap_or_default()));
        }
    }
    found
}

/// Stripes of all lengths, some longer than what is read at least and one as long as the longest.
fn sample() -> Sample {
    let mut sample = Sample::new();
    for length_bytes in [100, 20_000, 70_000, 400_000, 9_000, 1_040_000, 3_000, 600_000, 300_000] {
        sample.add(length_bytes, &[0, 1, 2]);
    }
    sample
}

async fn check(sample: &Sample, what: &str) {
    for columns in [&[0, 1, 2][..], &[1], &[0, 2]] {
        let found = read_together(sample, columns).await;
        assert_eq!(found.len(), sample.stripes.len(), "{what}");
        for ((index, (begin, _)), (offset, entries)) in sample.stripes.iter().enumerate().zip(found) {
            assert_eq!(*begin, offset, "{what}");
            let places: Vec<u8> = entries.iter().map(|(at, ..)| at.column).collect();
            assert_eq!(places, columns, "{what}, stripe {index}");
            for (at, entry, bytes) in entries {
                assert_eq!((at.stripe_offset, at.length_bytes), (offset, entry.length_bytes));
                assert_eq!(*blake3::hash(&bytes).as_bytes(), entry.hash, "{what}, stripe {index}");
            }
        }
    }
}

#[tokio::test]
async fn stretches_tell_what_their_stripes_hold() {
    check(&sample(), "well").await;
}

#[tokio::test]
async fn what_a_piece_has_not_got_is_read_or_rebuilt_stripe_by_stripe() {
    for answers in [Answers::Never, Answers::Short(40_000), Answers::BadAt(100_000)] {
        let mut sample = sample();
        sample.columns[1].as_mut().unwrap().1 = answers;
        check(&sample, &format!("{answers:?}")).await;
    }
    let mut lost = sample();
    lost.columns[0] = None;
    check(&lost, "lost").await;
    let mut damaged = sample();
    for (index, (begin, end)) in damaged.stripes.iter().enumerate() {
        let (bytes, _) = damaged.columns[index % 3].as_mut().unwrap();
        // A header here, and data there.
        let at = if index % 2 == 0 { begin + 10 } else { begin + (end - begin) / 2 };
        bytes[at as usize] ^= 0x40;
    }
    check(&damaged, "damaged").await;
}

#[tokio::test]
async fn stripes_that_cannot_be_read_cost_the_others_nothing() {
    let mut sample = sample();
    let (begin, end) = sample.stripes[4];
    for column in [0, 1, 2] {
        let (bytes, _) = sample.columns[column].as_mut().unwrap();
        bytes[begin as usize..end as usize].fill(0);
    }
    let found = read_together(&sample, &[0, 1, 2]).await;
    let unread: Vec<u64> =
        found.iter().filter(|(_, entries)| entries.is_empty()).map(|(offset, _)| *offset).collect();
    assert_eq!(unread, [begin]);
}
