#![allow(clippy::cast_possible_truncation, reason = "test data may wrap")]

use std::collections::BTreeSet;

use async_trait::async_trait;
use granary_drive::DriveError;
use parking_lot::Mutex;

use super::*;
use crate::maintain::sample::{Answers, Sample};

/// A file in memory.
#[derive(Debug, Default)]
struct Memory(Mutex<Vec<u8>>);

#[async_trait]
impl ReplacementAccess for Memory {
    async fn write(&self, offset: u64, bytes: Bytes) -> std::result::Result<(), DriveError> {
        let mut file = self.0.lock();
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        if file.len() < to {
            file.resize(to, 0);
        }
        file[from..to].copy_from_slice(&bytes);
        Ok(())
    }

    async fn install(&self) -> std::result::Result<(), DriveError> {
        Ok(())
    }
}

/// What a move makes of a column, and how many steps it takes.
async fn moved(sample: &Sample, column: u8, damage: &DamageLog) -> Result<(Vec<u8>, usize)> {
    let map = sample.map();
    let source = map.shard(&sample.view, column).await?;
    let copy =
        Copy { map: &map, damage, view: &sample.view, column, source: source.as_ref(), end: sample.end };
    let (to, mut written) = (Memory::default(), Written { ranges: Vec::new(), hash: blake3::Hasher::new() });
    let (mut place, mut steps) = (Place { at: FileHeader::LENGTH_BYTES, bad_to: 0 }, 0);
    while place.at < sample.end {
        copy.step(&mut place, &to, &mut written).await?;
        steps += 1;
    }
    Ok((to.0.into_inner(), steps))
}

fn middle_of(sample: &Sample, stripe: usize) -> u64 {
    let (begin, end) = sample.stripes[stripe];
    u64::midpoint(begin, end)
}

/// A drain waited until something else met the sector, and told nobody.
#[tokio::test]
async fn a_move_goes_past_a_bad_sector_and_reports_it() {
    let mut sample = Sample::new();
    for number in 0..60 {
        sample.add(60_000, if number % 7 == 3 { &[0] } else { &[0, 1, 2] });
    }
    let bad = middle_of(&sample, 40);
    let before = sample.columns[1].as_mut().unwrap();
    before.1 = Answers::BadAt(bad);
    let before = before.0.clone();
    let (volume, damage) = (sample.view.id, DamageLog::default());
    let (after, steps) = moved(&sample, 1, &damage).await.unwrap();
    let begin = FileHeader::LENGTH_BYTES as usize;
    assert!(after[begin..] == before[begin..]);
    assert!(steps < 60, "what lies before the sector is read in pieces: {steps}");
    assert_eq!(damage.columns(volume), BTreeSet::from([1]));
}

#[tokio::test]
async fn a_move_ends_where_the_others_have_not_got_what_was_in_a_bad_sector() {
    let mut sample = Sample::new();
    (0..12).for_each(|_| sample.add(60_000, &[0, 1, 2]));
    for column in [1, 2, 4] {
        sample.columns[column].as_mut().unwrap().1 = Answers::BadAt(middle_of(&sample, 5));
    }
    // A drive that is reset answers so for seconds: nothing is known to be lost.
    let damage = DamageLog::default();
    assert!(matches!(moved(&sample, 1, &damage).await, Err(EngineError::Unavailable { .. })));
    assert_eq!(damage.count(), 0);
    sample.columns[2].as_mut().unwrap().1 = Answers::Well;
    assert!(moved(&sample, 1, &damage).await.is_ok());
    assert_eq!(damage.columns(sample.view.id), BTreeSet::from([1, 4]));
}
