//! A store in temporary directories, and bodies made of a seed.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod tiered;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use granary_engine::{
    Bypass, ByteRange, DeleteEntry, Digests, Engine, EngineOptions, PutOptions, PutSource, SourceError,
    TaskKind, TaskProgress, TaskState,
};
use granary_types::{BucketName, Etag, ObjectKey};

/// How long something is waited for that has to happen by itself, on however loaded a machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

pub(crate) struct Store {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) options: EngineOptions,
    pub(crate) engine: Engine,
}

pub(crate) fn drive(dir: &Path, slot: usize) -> PathBuf {
    dir.join(format!("d{slot}"))
}

impl Store {
    pub(crate) async fn open(drives: usize) -> Self {
        Self::open_coded(drives, None).await
    }

    /// With a code of the operator's choice, `k+m`.
    pub(crate) async fn open_coded(drives: usize, erasure: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = EngineOptions::new((0..drives).map(|slot| drive(dir.path(), slot)).collect());
        options.erasure = erasure.map(|code| code.parse().unwrap());
        options.grace = Duration::from_millis(300);
        options.maintenance_interval = Duration::from_millis(100);
        let engine = Engine::open(options.clone()).await.unwrap();
        engine.create_bucket(&bucket(), "us-east-1", "root").await.unwrap();
        Self { dir, options, engine }
    }

    pub(crate) async fn restart(&mut self) {
        self.engine.close().await.unwrap();
        self.engine = reopen(&self.options).await;
    }

    pub(crate) async fn put(&self, name: &str, body: &Bytes) {
        let mut source = Body::new(body.clone());
        let options = PutOptions::default();
        self.engine.put_object(&bucket(), &key(name), options, &mut source).await.unwrap();
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Bytes, granary_engine::EngineError> {
        let object = self.engine.open_object(&bucket(), &key(name), None).await?;
        let end = object.info().length_bytes;
        read(object.read(ByteRange { start: 0, end })).await
    }

    pub(crate) async fn task(&self, kind: TaskKind) -> TaskProgress {
        let id = self.engine.start_task(kind);
        let begun = Instant::now();
        loop {
            let progress = self.engine.task(id).unwrap();
            if progress.state != TaskState::Running {
                assert_eq!(progress.state, TaskState::Done);
                return progress;
            }
            assert!(begun.elapsed() < PATIENCE, "{kind:?} does not end: {progress:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn shard_files(&self, slot: usize) -> Vec<PathBuf> {
        files_below(&drive(self.dir.path(), slot).join("volumes"))
    }
}

/// Opens what was dropped or closed just now. The former store's threads may hold the locks of the drives, and after those the
/// lock of the metadata, a moment longer; and so does a process that another test starts, until it runs its own program.
pub(crate) async fn reopen(options: &EngineOptions) -> Engine {
    let begun = Instant::now();
    loop {
        match Engine::open(options.clone()).await {
            Err(error) if is_locked(&error) && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other.unwrap(),
        }
    }
}

pub(crate) fn is_locked(error: &granary_engine::EngineError) -> bool {
    let text = format!("{error:?}");
    text.contains("another granary process") || text.contains("in use by another process")
}

/// Waits until something holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn read(stream: granary_engine::ObjectStream) -> Result<Bytes, granary_engine::EngineError> {
    // Chunks hold a share of the read budget: they are not collected.
    let whole = |mut whole: Vec<u8>, chunk: Bytes| async move {
        whole.extend_from_slice(&chunk);
        Ok(whole)
    };
    Ok(stream.try_fold(Vec::new(), whole).await?.into())
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

pub(crate) fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

/// The delete of a key.
pub(crate) fn entry(name: &str) -> DeleteEntry {
    DeleteEntry { key: key(name), version: None, bypass: Bypass::Nothing, conditions: Default::default() }
}

pub(crate) fn bytes(length: usize, seed: u64) -> Bytes {
    let mut out = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut out);
    out.into()
}

pub(crate) struct Body {
    rest: Bytes,
    length: u64,
    pub(crate) chunk: usize,
    pub(crate) fail_at_end: bool,
    /// How long it thinks before each chunk.
    pub(crate) pause: Duration,
}

impl Body {
    pub(crate) fn new(rest: Bytes) -> Self {
        Self { length: rest.len() as u64, rest, chunk: 50_000, fail_at_end: false, pause: Duration::ZERO }
    }
}

#[async_trait]
impl PutSource for Body {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        tokio::time::sleep(self.pause).await;
        Ok(Some(self.rest.split_to(self.chunk.min(self.rest.len()))))
    }

    async fn finish(&mut self) -> Result<Digests, SourceError> {
        if self.fail_at_end {
            return Err("digest mismatch".into());
        }
        Ok(Digests { etag: Etag::new("etag"), checksum: None })
    }

    fn length_hint_bytes(&self) -> Option<u64> {
        Some(self.length)
    }
}
