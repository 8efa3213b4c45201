//! A reader thread: takes all waiting point reads at once and answers them from one state of the database.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::failure::Failure;
use super::queue::Lane;
use super::schema::{self, Purpose};
use super::shared::{Damage, ReadJob, Request, Shared};

/// Point reads answered within one read transaction.
const READS_PER_TRANSACTION: usize = 32;

/// How often an idle reader looks whether another database is served.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs until the queue is closed and drained.
pub(super) fn run(shared: &Arc<Shared>, readers: u32) {
    let mut reader = Reader { epoch: 0, connection: Err("the store is opening".to_owned()) };
    while let Some(jobs) = shared.reads.take(READS_PER_TRANSACTION, PATIENCE, |_| 1) {
        reader.follow(shared, readers);
        reader.answer(shared, jobs);
    }
}

struct Reader {
    epoch: u64,
    connection: Result<Connection, String>,
}

impl Reader {
    /// Opens the file that is served now, unless it is open already.
    fn follow(&mut self, shared: &Shared, readers: u32) {
        let (epoch, database) = {
            let serving = shared.serving.lock();
            if serving.epoch == self.epoch && (self.connection.is_ok() || serving.database.is_err()) {
                return;
            }
            (serving.epoch, serving.database.clone())
        };
        self.epoch = epoch;
        // The old file is closed first: its lock must not outlive the reason to have it.
        self.connection = Err("the database is being replaced".to_owned());
        self.connection = database.and_then(|path| {
            schema::open(&path, Purpose::Read { readers }).map_err(|error| error.to_string())
        });
        if let Err(reason) = &self.connection {
            tracing::warn!(reason, "a metadata reader has no database");
        }
    }

    fn answer(&mut self, shared: &Shared, jobs: Vec<ReadJob>) {
        let connection = match &self.connection {
            Ok(connection) => connection,
            Err(reason) => {
                for job in jobs {
                    job(Err(reason));
                }
                return;
            }
        };
        // One transaction for all: also the statements of a single job must see one state.
        let mut distrust = execute(connection, "BEGIN").err();
        for job in jobs {
            distrust = job(Ok(connection)).or(distrust);
        }
        if let Err(failure) = execute(connection, "COMMIT") {
            tracing::warn!(?failure, "ending a read transaction failed");
        }
        if let Some(failure) = distrust.filter(Failure::distrusts_file) {
            let reason = format!("{failure:?}");
            tracing::error!(reason, "a read found the metadata damaged");
            let damage = if matches!(failure, Failure::Corrupt(_)) { Damage::Row } else { Damage::File };
            // A full queue means that the writer is busy and that the next read will tell it again.
            shared.writes.try_push(Lane::Short, Request::Suspect { epoch: self.epoch, damage, reason });
        }
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<(), Failure> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
