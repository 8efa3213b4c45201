//! Uploads that share a volume, in a simulation: the volume as it is, over drives that write and flush late, fail for good, are
//! not reached, or do what they were asked and say that they failed. Whatever a commit would name lies on every column,
//! flushed.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use futures::future::BoxFuture;
use granary_cluster::access::{LaneKind, ReplacementAccess};
use granary_drive::{BLOCK_HEADER_LENGTH_BYTES, BackupName, BlockKind, ShardName, block_span_bytes};
use granary_erasure::Profile;
use granary_types::DriveId;
use tokio::time::{Duration, sleep};

use super::*;
use crate::simulated::{Choices, run_seeds};
use crate::tiers::Tier;
use crate::volume::run::{BlockSeal, RunStripe};

const DATA: u8 = 2;
const PARITY: u8 = 1;
const UPLOADS: usize = 5;
const SEEDS: u64 = 400;
/// Seeds that showed a mistake once; none has.
const KEPT: [u64; 0] = [];

/// What a shard file holds: the extents that were written, and whether they were flushed.
#[derive(Debug, Default)]
struct Contents {
    extents: BTreeMap<u64, (u64, Durable)>,
    /// A file that failed once takes nothing more.
    has_failed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durable {
    Yes,
    No,
}

impl Contents {
    fn flush(&mut self) {
        self.extents.values_mut().for_each(|(_, durable)| *durable = Durable::Yes);
    }

    fn length_bytes(&self) -> u64 {
        let last = self.extents.last_key_value();
        last.map_or(FileHeader::LENGTH_BYTES, |(offset, (length, _))| offset + length)
    }

    /// What was not flushed is gone.
    fn fail(&mut self) {
        self.has_failed = true;
        self.extents.retain(|_, (_, durable)| *durable == Durable::Yes);
    }

    /// Whether everything up to `end` is there and flushed.
    fn is_durable_to(&self, end: u64) -> bool {
        let mut at = FileHeader::LENGTH_BYTES;
        for (offset, (length, durable)) in self.extents.range(..end) {
            if *offset != at || *durable == Durable::No {
                return false;
            }
            at += length;
        }
        at >= end
    }
}

/// A shard on a drive of its own, which does one thing after the other.
struct Shard {
    contents: Mutex<Contents>,
    turn: Arc<tokio::sync::Mutex<()>>,
    choices: Arc<Choices>,
    /// One in so many appends goes wrong.
    trouble: u64,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a simulated shard")
    }
}

fn failed() -> DriveError {
    DriveError::Tampered { path: PathBuf::from("simulated"), what: "failed" }
}

impl Shard {
    async fn take(&self, append: ShardAppend) -> Result<(), DriveError> {
        sleep(self.choices.millis_below(30)).await;
        let mut contents = self.contents.lock();
        let trouble = self.choices.is_one_in(self.trouble).then(|| self.choices.below(3));
        if contents.has_failed || trouble == Some(0) {
            contents.fail();
            return Err(failed());
        }
        // It never came there, or it does not fit what is there: a file takes what comes next only.
        let has_gap = !append.bytes.is_empty() && contents.length_bytes() != append.length_before_bytes;
        if trouble == Some(1) || has_gap {
            return Err(failed());
        }
        if !append.bytes.is_empty() {
            let length = append.bytes.len() as u64;
            contents.extents.insert(append.offset, (length, Durable::No));
        }
        if append.flush == Flush::Now {
            contents.flush();
        }
        // Done, but the answer is lost.
        if trouble.is_some() { Err(failed()) } else { Ok(()) }
    }
}

/// A drive and its one shard.
#[derive(Debug, Clone)]
struct Simulated(Arc<Shard>);

#[async_trait]
impl ShardAccess for Simulated {
    async fn read(&self, _: u64, _: usize) -> Result<Bytes, DriveError> {
        Err(failed())
    }

    fn append(&self, append: ShardAppend) -> BoxFuture<'static, Result<(), DriveError>> {
        let shard = Arc::clone(&self.0);
        // The place in the line is taken now, as the lane does.
        let mut turn = Box::pin(Arc::clone(&shard.turn).lock_owned());
        let taken = futures::FutureExt::now_or_never(turn.as_mut());
        let work = tokio::spawn(async move {
            let _turn = match taken {
                Some(turn) => turn,
                None => turn.await,
            };
            shard.take(append).await
        });
        Box::pin(async move { work.await.unwrap_or_else(|_| Err(failed())) })
    }
}

#[async_trait]
impl DriveAccess for Simulated {
    fn id(&self) -> DriveId {
        DriveId::from_bytes([1; 16])
    }

    fn place(&self) -> String {
        "simulated".to_owned()
    }

    fn is_usable(&self) -> bool {
        true
    }

    fn is_retired(&self) -> bool {
        false
    }

    fn mark_failed(&self) {}

    fn space_bytes(&self) -> (u64, u64) {
        (1 << 40, 1 << 40)
    }

    async fn create_shard(&self, _: ShardName, _: (u8, u8)) -> Result<Arc<dyn ShardAccess>, DriveError> {
        Err(failed())
    }

    async fn open_shard(&self, _: ShardName, _: (u8, u8)) -> Result<Arc<dyn ShardAccess>, DriveError> {
        Err(failed())
    }

    async fn remove_shard(&self, _: ShardName) -> Result<(), DriveError> {
        Err(failed())
    }

    async fn create_replacement(
        &self,
        _: ShardName,
        _: (u8, u8),
    ) -> Result<Arc<dyn ReplacementAccess>, DriveError> {
        Err(failed())
    }

    async fn create_backup_shard(&self, _: BackupName) -> Result<Arc<dyn ReplacementAccess>, DriveError> {
        Err(failed())
    }

    async fn backup_shards(&self) -> Result<Vec<BackupName>, DriveError> {
        Err(failed())
    }

    async fn remove_backup_shards(&self, _: i64) -> Result<(), DriveError> {
        Err(failed())
    }
}

fn open(choices: &Arc<Choices>) -> (Arc<OpenVolume>, Vec<Simulated>) {
    let trouble = 10 + choices.below(300);
    let shard =
        || Shard { contents: Mutex::default(), turn: Arc::default(), choices: Arc::clone(choices), trouble };
    let shards: Vec<Simulated> = (0..DATA + PARITY).map(|_| Simulated(Arc::new(shard()))).collect();
    let columns = shards
        .iter()
        .map(|shard| OpenColumn { drive: Arc::new(shard.clone()), shard: Arc::new(shard.clone()) });
    let volume = OpenVolume::new(
        VolumeId::from_bytes([2; 16]),
        Arc::new(Codec::new(Profile::new(DATA, PARITY).unwrap()).unwrap()),
        ClusterId::from_bytes([3; 16]),
        Slot { lane: LaneKind::Bulk, tier: Tier::All },
        columns.collect(),
        u64::MAX,
    );
    (Arc::new(volume), shards)
}

/// A run of one full stripe.
fn run_of(body_length_bytes: u32) -> Run {
    let length = usize::try_from(block_span_bytes(body_length_bytes)).unwrap();
    assert!(length > BLOCK_HEADER_LENGTH_BYTES);
    let columns = usize::from(DATA + PARITY);
    let stripe = RunStripe {
        at: 0,
        body_length_bytes,
        columns_written: (1 << columns) - 1,
        seals: vec![BlockSeal::default(); columns],
    };
    Run {
        kind: BlockKind::Blob,
        profile: (DATA, PARITY),
        columns: vec![Some(Bytes::from(vec![0; length])); columns],
        stripes: vec![stripe],
    }
}

/// What the uploads committed.
#[derive(Default)]
struct Committed {
    end: u64,
    stored_bytes: u64,
    wrong: Vec<String>,
}

/// One upload: some runs in flight together, and a commit if all of them can be made durable.
async fn upload(
    volume: Arc<OpenVolume>,
    shards: Vec<Simulated>,
    choices: Arc<Choices>,
    committed: Arc<Mutex<Committed>>,
) {
    sleep(choices.millis_below(200)).await;
    let mut appends = Vec::new();
    for _ in 0..1 + choices.below(5) {
        let mut run = run_of(4096 * (1 + u32::try_from(choices.below(4)).unwrap()));
        let appending = Arc::clone(&volume);
        let append = async move {
            let offset = appending.append(&mut run, Flush::Later).await?;
            Ok::<u64, EngineError>(offset + run.span_bytes())
        };
        appends.push(tokio::spawn(append));
        sleep(choices.millis_below(40)).await;
        if choices.is_one_in(4) {
            // The head start that long uploads give the flush.
            let _ = volume.flush().await;
        }
    }
    let mut end = 0;
    for append in appends {
        // A run that failed is written to another volume; the others of the upload stay here.
        if let Ok(run_end) = append.await.unwrap() {
            end = end.max(run_end);
        }
    }
    let Ok(Some(durable)) = volume.make_durable(end).await else { return };
    let advance = volume.advance_to(durable);
    let mut committed = committed.lock();
    if durable < end {
        committed.wrong.push(format!("durable to {durable} is no answer to {end}"));
    }
    for (number, shard) in shards.iter().enumerate() {
        if !shard.0.contents.lock().is_durable_to(durable) {
            committed.wrong.push(format!("column {number} is not durable to {durable}"));
        }
    }
    committed.end = committed.end.max(advance.end);
    committed.stored_bytes += advance.stored_bytes;
    // Bytes of a run are told once, with a commit that reaches it or one before.
    if committed.stored_bytes > (committed.end - FileHeader::LENGTH_BYTES) * u64::from(DATA + PARITY) {
        let told = committed.stored_bytes;
        committed.wrong.push(format!("{told} bytes are told twice"));
    }
}

async fn simulate(seed: u64) -> Vec<String> {
    let choices = Arc::new(Choices::new(seed));
    let (volume, shards) = open(&choices);
    let committed = Arc::new(Mutex::new(Committed::default()));
    let uploads: Vec<_> = (0..UPLOADS)
        .map(|_| {
            let upload =
                upload(Arc::clone(&volume), shards.clone(), Arc::clone(&choices), Arc::clone(&committed));
            // An upload that waits for ever holds up its client: none does.
            tokio::spawn(tokio::time::timeout(Duration::from_mins(1), upload))
        })
        .collect();
    for upload in uploads {
        if upload.await.unwrap().is_err() {
            committed.lock().wrong.push("an upload waits for ever".to_owned());
        }
    }
    std::mem::take(&mut committed.lock().wrong)
}

#[test]
fn what_a_commit_names_is_flushed_on_every_column() {
    run_seeds(&KEPT, SEEDS, simulate);
}
