#![allow(clippy::cast_possible_truncation, reason = "test data may wrap")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use granary_drive::{BLOCK_ALIGNMENT_BYTES, PAGE_LENGTH_BYTES};
use parking_lot::Mutex;

use super::super::new_file::{RUN_BYTES, RUNS_TOGETHER};
use super::super::sample::Sample;
use super::*;

/// A file in memory, where it was written, and how much was being written at once.
#[derive(Debug, Default)]
struct Memory {
    bytes: Mutex<Vec<u8>>,
    writes: Mutex<Vec<(u64, usize)>>,
    runs_now: AtomicUsize,
    bytes_now: AtomicUsize,
    runs_at_once: AtomicUsize,
    bytes_at_once: AtomicUsize,
    is_full: AtomicBool,
}

#[async_trait]
impl ReplacementAccess for Memory {
    async fn write(&self, offset: u64, bytes: Bytes) -> std::result::Result<(), DriveError> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(DriveError::NoSpace { path: PathBuf::from("memory") });
        }
        self.writes.lock().push((offset, bytes.len()));
        let runs = 1 + self.runs_now.fetch_add(1, Ordering::Relaxed);
        let length_bytes = bytes.len() + self.bytes_now.fetch_add(bytes.len(), Ordering::Relaxed);
        self.runs_at_once.fetch_max(runs, Ordering::Relaxed);
        self.bytes_at_once.fetch_max(length_bytes, Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        self.runs_now.fetch_sub(1, Ordering::Relaxed);
        self.bytes_now.fetch_sub(bytes.len(), Ordering::Relaxed);
        let mut file = self.bytes.lock();
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

async fn stripes(sample: &Sample) -> Vec<Stripe> {
    let (map, mut stripes) = (sample.map(), Vec::new());
    let mut walk = Walk::new(Arc::clone(&sample.view), sample.end);
    while let Some(step) = walk.next(&map).await.unwrap() {
        let Step::Stripe(stripe) = step else { panic!("a gap") };
        stripes.push(*stripe);
    }
    stripes
}

/// As many columns as may be lost, of narrow stripes too, from one pass; in few writes, each of which begins on a page.
#[tokio::test]
async fn lost_columns_are_rebuilt_together_and_written_in_long_runs() {
    let mut sample = Sample::new();
    for number in 0..40 {
        sample.add(60_000 + number, &[0, 1, 2]);
        if number == 20 {
            sample.add(5_000, &[0]);
        }
    }
    let wanted = [1_u8, 3];
    let before: Vec<Vec<u8>> =
        wanted.iter().map(|column| sample.columns[usize::from(*column)].take().unwrap().0).collect();
    let files = [Arc::new(Memory::default()), Arc::new(Memory::default())];
    let mut new: Vec<NewFile> =
        files.iter().map(|file| NewFile::new(Arc::clone(file) as Arc<dyn ReplacementAccess>)).collect();
    for stripe in stripes(&sample).await {
        let columns: Vec<u8> = wanted.into_iter().filter(|column| stripe.is_written(*column)).collect();
        let blocks = blocks_of(&stripe, &sample.view, &columns).unwrap();
        for (column, block) in columns.iter().zip(blocks) {
            let number = wanted.iter().position(|wanted| wanted == column).unwrap();
            new[number].add(stripe.header.stripe_offset, &block.unwrap().unwrap()).await.unwrap();
        }
    }
    for ((file, new), before) in files.iter().zip(new).zip(&before) {
        new.finish().await.unwrap();
        let begin = granary_drive::FileHeader::LENGTH_BYTES as usize;
        let mut before = before.clone();
        before.resize(before.len().next_multiple_of(PAGE_LENGTH_BYTES), 0);
        assert!(file.bytes.lock()[begin..] == before[begin..]);
        let writes = file.writes.lock();
        assert!(writes.iter().all(|(offset, _)| offset.is_multiple_of(BLOCK_ALIGNMENT_BYTES)), "{writes:?}");
        assert!(writes.len() <= 3 + before.len() / (RUN_BYTES - 70_000), "{writes:?}");
    }
}

/// One short run waited for the other, and each for the page cache as well, as its last page was written in part.
#[tokio::test]
async fn short_runs_of_a_column_with_holes_are_written_together_in_whole_pages() {
    let mut sample = Sample::new();
    for number in 0..60 {
        sample.add(60_000 + number, &[0, 1, 2]);
        sample.add(5_000, &[0]);
    }
    let before = sample.columns[1].take().unwrap().0;
    let file = Arc::new(Memory::default());
    let mut new = NewFile::new(Arc::clone(&file) as Arc<dyn ReplacementAccess>);
    for stripe in stripes(&sample).await.iter().filter(|stripe| stripe.is_written(1)) {
        let block = block_of(stripe, &sample.view, 1).unwrap().unwrap();
        new.add(stripe.header.stripe_offset, &block).await.unwrap();
    }
    new.finish().await.unwrap();
    let begin = granary_drive::FileHeader::LENGTH_BYTES as usize;
    let (bytes, writes) = (file.bytes.lock(), file.writes.lock());
    assert!(bytes[begin..before.len()] == before[begin..]);
    assert_eq!(writes.len(), 60);
    assert!(
        writes.iter().all(|(_, length_bytes)| length_bytes.is_multiple_of(PAGE_LENGTH_BYTES)),
        "{writes:?}"
    );
    assert_eq!(file.runs_at_once.load(Ordering::Relaxed), RUNS_TOGETHER);
    assert!(file.bytes_at_once.load(Ordering::Relaxed) <= RUN_BYTES + PAGE_LENGTH_BYTES);
}

#[tokio::test]
async fn what_cannot_be_rebuilt_is_nothing_and_a_write_that_fails_is_told() {
    let mut sample = Sample::new();
    sample.add(60_000, &[0, 1, 2]);
    for column in [0, 1, 4] {
        sample.columns[column] = None;
    }
    let stripe = stripes(&sample).await.remove(0);
    let blocks = blocks_of(&stripe, &sample.view, &[0, 2]).unwrap();
    let blocks: Vec<_> = blocks.into_iter().map(Result::unwrap).collect();
    assert!(blocks[0].is_none() && blocks[1].is_some());
    let full = Arc::new(Memory { is_full: AtomicBool::new(true), ..Memory::default() });
    let mut new = NewFile::new(full);
    new.add(4096, blocks[1].as_ref().unwrap()).await.unwrap();
    assert!(matches!(new.finish().await, Err(EngineError::Drive(DriveError::NoSpace { .. }))));
}

/// One column that came out wrong kept all others of the volume from being healed.
#[tokio::test]
async fn a_column_that_is_rebuilt_wrong_is_told_and_the_others_are_rebuilt() {
    let mut sample = Sample::new();
    sample.add(60_000, &[0, 1, 2]);
    sample.columns[0] = None;
    sample.columns[3] = None;
    let mut stripe = stripes(&sample).await.remove(0);
    let parity = stripe.blocks[4].as_mut().unwrap();
    let mut wrong = parity.body.to_vec();
    wrong[30_000] ^= 1;
    parity.body = Bytes::from(wrong);
    let blocks = blocks_of(&stripe, &sample.view, &[0, 2]).unwrap();
    assert!(matches!(blocks[0], Err(EngineError::Unreadable { .. })));
    assert!(matches!(blocks[1], Ok(Some(_))));
    assert!(block_of(&stripe, &sample.view, 0).is_err(), "for who moves objects as well");
}

/// Its place was taken by a file with holes where nothing could be rebuilt, though it may have had some of it.
#[test]
fn a_file_that_cannot_be_opened_now_is_not_one_that_is_gone() {
    let opened = |error| Old::of(Err(error));
    let path = || PathBuf::from("memory");
    let io = |source| DriveError::Io { context: "opening", path: path(), source };
    assert!(matches!(opened(DriveError::Stalled { path: path() }), Old::Unopened));
    let sector = std::io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error());
    assert!(matches!(opened(io(sector)), Old::Unopened));
    assert!(matches!(opened(io(std::io::ErrorKind::NotFound.into())), Old::Gone));
}
