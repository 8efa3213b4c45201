//! Starting the threads of a store.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::failure::{Failure, unavailable};
use super::options::EmbeddedOptions;
use super::reader;
use super::schema::{self, Position, Purpose};
use super::shared::{Serving, Shared};
use super::writer::Writer;
use crate::error::{MetadataError, Result};

/// The database's file name in its home.
pub(super) const DATABASE: &str = "granary.sqlite";

/// Opens the store and starts its threads.
pub(super) fn start(options: EmbeddedOptions) -> Result<(Arc<Shared>, Vec<JoinHandle<()>>)> {
    let home = options.homes.first().ok_or_else(|| unavailable("opening", "no home was given"))?;
    std::fs::create_dir_all(&home.dir).map_err(|source| io(&home.dir, source))?;
    let path = home.dir.join(DATABASE);
    let open = || -> std::result::Result<_, Failure> {
        let mut connection = schema::open(&path, Purpose::Write)?;
        schema::migrate(&mut connection)?;
        let position = match schema::position(&connection)? {
            Some(position) => position,
            None => {
                let store = *granary_types::BlobId::random()
                    .map_err(|error| Failure::Refused(io(&home.dir, error)))?
                    .as_bytes();
                let position = Position { store, generation: 1, seq: 0, chain: [0; 32] };
                schema::set_position(&connection, &position)?;
                position
            }
        };
        Ok((connection, position))
    };
    let (connection, position) = open().map_err(|failure| failure.into_error("opening"))?;
    let serving = Serving {
        epoch: 1,
        database: Ok(path.clone()),
        homes: vec![(home.drive, true)],
        copies_missing: options.copies,
    };
    let shared = Arc::new(Shared::new(serving));
    let writer = Writer { shared: Arc::clone(&shared), connection, position };
    let mut threads = vec![spawn("metadata-writer", move || writer.run())?];
    for _ in 0..options.readers.max(1) {
        let (shared, readers) = (Arc::clone(&shared), options.readers);
        threads.push(spawn("metadata-reader", move || reader::run(&shared, readers))?);
    }
    Ok((shared, threads))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| MetadataError::Io { context: format!("starting the thread {name}"), source })
}

fn io(path: &std::path::Path, source: std::io::Error) -> MetadataError {
    MetadataError::Io { context: format!("using {}", path.display()), source }
}
