//! Opening the homes and starting the threads of a store.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::failure::unavailable;
use super::moved::moved;
use super::options::{EmbeddedOptions, Home, WhenMoved};
use super::reader;
use super::shared::{Serving, Shared};
use super::survive::{self, Replicas};
use super::writer::Writer;
use crate::error::{MetadataError, Result};

/// Opens the store and starts its threads.
pub(super) fn start(options: &EmbeddedOptions) -> Result<(Arc<Shared>, Vec<JoinHandle<()>>)> {
    let mut homes = Vec::with_capacity(options.homes.len());
    let mut locks = Vec::with_capacity(options.homes.len());
    for home in &options.homes {
        match prepare(home) {
            Ok(lock) => {
                homes.push(home.clone());
                locks.push(lock);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let why = format!("{} is in use by another process", home.dir.display());
                return Err(unavailable("opening", why));
            }
            Err(error) => tracing::warn!(home = %home.dir.display(), %error, "a metadata home is not usable"),
        }
    }
    if homes.is_empty() {
        return Err(unavailable("opening", "no home for the metadata is usable"));
    }
    if options.when_moved == WhenMoved::Refuse
        && let Some(to) = moved(&homes)
    {
        let why = format!("the metadata of this store was moved to {to}; serve it from there (--metadata)");
        return Err(unavailable("opening", why));
    }
    let recovered = survive::at_start(&homes, options.existing)?;
    let serving = Serving {
        epoch: 0,
        database: Err("the store is opening".to_owned()),
        homes: Vec::new(),
        copies_missing: options.copies,
    };
    let shared = Arc::new(Shared::new(serving, options.hot_row_bytes_max));
    let replicas = Replicas::new(options);
    let writer = Writer::start(Arc::clone(&shared), replicas, locks, &homes, recovered)?;
    let mut threads = vec![spawn("metadata-writer", move || writer.run())?];
    for _ in 0..options.readers.max(1) {
        let (shared, readers) = (Arc::clone(&shared), options.readers);
        threads.push(spawn("metadata-reader", move || reader::run(&shared, readers))?);
    }
    Ok((shared, threads))
}

/// Makes a home's directory and takes it for this process.
pub(super) fn prepare(home: &Home) -> std::io::Result<File> {
    std::fs::create_dir_all(&home.dir)?;
    if let Some(parent) = home.dir.parent().filter(|parent| *parent != Path::new("")) {
        File::open(parent)?.sync_all()?;
    }
    survive::lock(&home.dir)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| MetadataError::Io { context: format!("starting the thread {name}"), source })
}
