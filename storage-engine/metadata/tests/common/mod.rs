//! A store over several homes that tests can damage.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_metadata::conformance::sample::{
    bucket, bucket_id, done, etag, key, open_written, put_packed, w,
};
use granary_metadata::sqlite::{EmbeddedOptions, Existing, Home, SnapshotThresholds, SqliteStore};
use granary_metadata::{MetadataStore, Result, Write};
use granary_types::DriveId;

pub const DATABASE: &str = "granary.sqlite";
/// How long something is waited for that has to happen by itself, on however loaded a machine.
pub const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Opens what was closed just now. A process that another test starts at that moment has the files of this one, and with them
/// the lock, until it runs its own program.
pub fn when_free<T>(open: impl Fn() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match open() {
            Err(error)
                if format!("{error:?}").contains("in use by another process")
                    && begun.elapsed() < PATIENCE =>
            {
                std::thread::sleep(LOOK_EVERY);
            }
            other => return other,
        }
    }
}

/// Homes in a temporary directory.
pub struct Homes {
    pub root: PathBuf,
    pub count: u8,
    pub copies: usize,
    pub log_bytes_min: u64,
}

impl Homes {
    pub fn new(root: &Path, count: u8, copies: usize) -> Self {
        Self { root: root.to_owned(), count, copies, log_bytes_min: 64 << 20 }
    }

    pub fn dir(&self, n: u8) -> PathBuf {
        self.root.join(format!("d{n}/meta"))
    }

    pub fn home(&self, n: u8) -> Home {
        Home { drive: DriveId::from_bytes([n; 16]), dir: self.dir(n) }
    }

    pub fn try_open(&self, existing: Existing) -> Result<SqliteStore> {
        let homes = (0..self.count).map(|n| self.home(n)).collect();
        let mut options = EmbeddedOptions::new(homes, self.copies, existing);
        options.snapshots =
            SnapshotThresholds { log_bytes_min: self.log_bytes_min, log_percent_of_database: 0 };
        SqliteStore::open(options)
    }

    pub fn open(&self, existing: Existing) -> Arc<SqliteStore> {
        Arc::new(when_free(|| self.try_open(existing)).unwrap())
    }

    /// The home with the database, as soon as there is one.
    pub async fn serving(&self, store: &SqliteStore) -> u8 {
        let begun = Instant::now();
        loop {
            let homes = store.homes().await.unwrap();
            if let Some((drive, _)) = homes.iter().find(|(_, serves)| *serves) {
                return drive.as_bytes()[0];
            }
            assert!(begun.elapsed() < PATIENCE, "no home serves: {homes:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The homes with complete copies, without the database's.
    pub async fn copies(&self, store: &SqliteStore) -> Vec<u8> {
        let homes = store.homes().await.unwrap();
        homes.iter().filter(|(_, serves)| !serves).map(|(drive, _)| drive.as_bytes()[0]).collect()
    }

    pub fn lose(&self, n: u8) {
        std::fs::remove_dir_all(self.root.join(format!("d{n}"))).unwrap();
    }

    /// Files of a home by the beginnings of their names.
    pub fn files(&self, n: u8, begins: &str, ends: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.dir(n)) else { return Vec::new() };
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                name.starts_with(begins) && name.ends_with(ends)
            })
            .collect();
        files.sort();
        files
    }

    /// The batches in the log of a home, with their segments and where they begin there. A log has a segment more from the moment on
    /// at which one was prepared, so two logs with the same batches have them in different places.
    pub fn batches(&self, n: u8) -> Vec<(u64, PathBuf, u64)> {
        const MAGIC: &[u8; 4] = b"GRNF";
        let mut found = Vec::new();
        for path in self.files(n, "log-", ".log") {
            let bytes = std::fs::read(&path).unwrap();
            let begins = (0..bytes.len().saturating_sub(16)).filter(|at| bytes[*at..].starts_with(MAGIC));
            found.extend(begins.map(|at| {
                let seq = u64::from_le_bytes(bytes[at + 8..at + 16].try_into().unwrap());
                (seq, path.clone(), at as u64)
            }));
        }
        found
    }

    /// Flips a bit of a batch in the log of a home.
    pub fn flip_batch(&self, n: u8, seq: u64) {
        let (_, path, at) = self.batches(n).into_iter().find(|(found, ..)| *found == seq).unwrap();
        flip(&path, at + 20);
    }
}

pub async fn begin(store: &SqliteStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
}

/// Puts objects `from..to`; each is acknowledged before the next.
pub async fn put(store: &SqliteStore, from: u64, to: u64) {
    for n in from..to {
        done(store, w(put_packed(1, &format!("key-{n:06}"), n, 1, 100))).await;
    }
}

pub async fn assert_has(store: &SqliteStore, from: u64, to: u64) {
    for n in from..to {
        let row = store.object(bucket_id(1), &key(&format!("key-{n:06}")), None).await.unwrap();
        assert_eq!(row.map(|row| row.object.etag), Some(etag(n)), "object {n}");
    }
}

/// Puts one object, again and again while the store is unavailable.
pub async fn put_patiently(store: &SqliteStore, n: u64) {
    let write: Write = w(put_packed(1, &format!("key-{n:06}"), n, 1, 100));
    let begun = Instant::now();
    loop {
        let commit = granary_metadata::Commit { advances: Vec::new(), writes: vec![write.clone()] };
        match store.commit(commit).await {
            Ok(_) => return,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "the store stays unavailable: {error:?}"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until the store has all its copies.
pub async fn wait_for_copies(store: &SqliteStore) {
    let begun = Instant::now();
    while store.copies_missing() > 0 {
        assert!(begun.elapsed() < PATIENCE, "{} copies stay missing", store.copies_missing());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub fn flip(path: &Path, at: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], at).unwrap();
}

pub fn truncate(path: &Path, length: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

/// Everything a database holds but its generation, as text.
pub fn dump(database: &Path) -> String {
    let connection = rusqlite::Connection::open(database).unwrap();
    let mut text = String::new();
    for table in [
        "buckets",
        "objects",
        "object_versions",
        "uploads",
        "parts",
        "blobs",
        "blob_refs",
        "volumes",
        "drives",
    ] {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3"))
            .or_else(|_| connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")))
            .unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            text.push_str(table);
            for column in 0..columns {
                text.push_str(&format!(" {:?}", row.get_ref(column).unwrap()));
            }
            text.push('\n');
        }
    }
    text
}
