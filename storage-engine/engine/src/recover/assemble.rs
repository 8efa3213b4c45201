//! The entries of the new metadata, in files by table, and reading them as an export.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use async_trait::async_trait;
use granary_metadata::moving::{Entry, Export, Page, Place, Source, Table};
use granary_metadata::{MetadataError, Result as MetadataResult};
use granary_types::ClusterId;

use super::io as io_error;
use super::spool::{Work, read_frame, write_frame};
use crate::error::Result;

/// Entries of one frame.
const FRAME_ENTRIES: usize = 256;

struct TableFile {
    path: PathBuf,
    file: BufWriter<File>,
    waiting: Vec<Entry>,
    count: u64,
    hasher: blake3::Hasher,
}

impl TableFile {
    fn flush(&mut self) -> io::Result<()> {
        if !self.waiting.is_empty() {
            let waiting = std::mem::take(&mut self.waiting);
            let encoded = postcard::to_stdvec(&waiting).map_err(io::Error::other)?;
            self.hasher.update(&encoded);
            write_frame(&mut self.file, &waiting)?;
        }
        Ok(())
    }
}

/// Tables that are being filled.
pub(super) struct Tables {
    tables: BTreeMap<Table, TableFile>,
}

impl Tables {
    pub(super) fn create(work: &Work) -> Result<Self> {
        let make = |table: Table| -> io::Result<(Table, TableFile)> {
            let path = work.path(&format!("table-{}", table.name()));
            let file = BufWriter::new(File::create(&path)?);
            let (waiting, hasher) = (Vec::with_capacity(FRAME_ENTRIES), blake3::Hasher::new());
            Ok((table, TableFile { path, file, waiting, count: 0, hasher }))
        };
        let tables = Table::ALL.into_iter().map(make).collect::<io::Result<_>>();
        Ok(Self { tables: tables.map_err(io_error("making the spool"))? })
    }

    pub(super) fn add(&mut self, entry: Entry) -> Result<()> {
        let Some(table) = self.tables.get_mut(&entry.table()) else { return Ok(()) };
        table.waiting.push(entry);
        table.count = table.count.saturating_add(1);
        if table.waiting.len() >= FRAME_ENTRIES {
            table.flush().map_err(io_error("writing the spool"))?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, cluster: ClusterId) -> Result<Assembled> {
        let mut hasher = blake3::Hasher::new();
        let mut files = BTreeMap::new();
        for (table, file) in &mut self.tables {
            file.flush().and_then(|()| file.file.flush()).map_err(io_error("writing the spool"))?;
            hasher.update(file.hasher.finalize().as_bytes());
            files.insert(*table, (file.path.clone(), file.count));
        }
        // The same drives give the same entries, so that a copy that was cut off goes on.
        let source = Source { store: *cluster.as_bytes(), state: *hasher.finalize().as_bytes() };
        Ok(Assembled { source, files })
    }
}

/// The new metadata.
pub(super) struct Assembled {
    source: Source,
    files: BTreeMap<Table, (PathBuf, u64)>,
}

fn failed(source: io::Error) -> MetadataError {
    MetadataError::Io { context: "reading the spool".to_owned(), source }
}

#[async_trait]
impl Export for Assembled {
    async fn source(&self) -> MetadataResult<Source> {
        Ok(self.source)
    }

    async fn count(&self, table: Table) -> MetadataResult<u64> {
        Ok(self.files.get(&table).map_or(0, |(_, count)| *count))
    }

    /// One frame, whatever the limit. The place is where the next begins.
    async fn page(&self, table: Table, after: Option<&Place>, _limit: u32) -> MetadataResult<Page> {
        let nothing = Page { entries: Vec::new(), next: None };
        let Some((path, _)) = self.files.get(&table).cloned() else { return Ok(nothing) };
        let corrupt = || MetadataError::Corrupt { context: "a place in the spool".to_owned() };
        let at: u64 = match after {
            Some(place) => u64::from_le_bytes(place.as_bytes().try_into().map_err(|_| corrupt())?),
            None => 0,
        };
        let read = move || -> io::Result<Option<(Vec<Entry>, u64)>> {
            let mut file = BufReader::new(File::open(path)?);
            file.seek(SeekFrom::Start(at))?;
            read_frame(&mut file)
        };
        let read = tokio::task::spawn_blocking(read).await;
        let Some((entries, length)) = read.map_err(io::Error::other).and_then(|read| read).map_err(failed)?
        else {
            return Ok(nothing);
        };
        let next = Some(Place::new(at.saturating_add(length).to_le_bytes().to_vec()));
        Ok(Page { entries, next })
    }
}
