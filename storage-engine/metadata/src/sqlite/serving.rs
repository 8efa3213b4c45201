//! The database that is served, and taking another one into service when it is damaged or gone.

use std::path::PathBuf;
use std::time::Instant;

use rusqlite::Connection;

use super::failure::Failure;
use super::options::Home;
use super::survive::{self, DATABASE, Forming, Identity, Recovered, Trouble, wal};
use super::writer::Writer;
use crate::error::Result;

/// The open database.
pub(super) struct Database {
    pub(super) connection: Connection,
    path: PathBuf,
    identity: Identity,
    wal: Option<Identity>,
}

impl Database {
    pub(super) fn new(connection: Connection, path: PathBuf) -> std::io::Result<Self> {
        let identity = Identity::of(&path)?;
        Ok(Self { connection, path, identity, wal: None })
    }

    /// Whether the files are still the ones that are open, and whole. Writing to a deleted file succeeds, and
    /// SQLite would not notice.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        let gone =
            |what: &str| Err(Failure::Corrupt(format!("the {what} was replaced, deleted or truncated")));
        if !self.identity.still(&self.path) {
            return gone("database");
        }
        let path = wal(&self.path);
        let Some(identity) = &mut self.wal else {
            // SQLite makes the file with the first commit and keeps it while the database is open.
            self.wal = Identity::of(&path).ok();
            return Ok(());
        };
        if identity.still(&path) { Ok(()) } else { gone("write-ahead log") }
    }
}

impl Writer {
    /// Serves what was recovered and gives it copies.
    pub(super) fn serve(
        &mut self,
        homes: &[Home],
        recovered: Recovered,
        forming: Forming,
    ) -> Result<(), Failure> {
        let home = homes
            .get(recovered.home)
            .cloned()
            .ok_or_else(|| Failure::Corrupt("the metadata was recovered into no home".to_owned()))?;
        let path = home.dir.join(DATABASE);
        self.database = Some(Database::new(recovered.connection, path.clone()).map_err(Failure::Io)?);
        self.position = recovered.position;
        self.home = home;
        self.excluded = false;
        if forming == Forming::Background {
            // Reads go on at once; the copies are made meanwhile.
            self.publish(Ok(path.clone()));
            self.publish_homes();
        }
        self.replicas.follow(&self.home, path.clone(), &self.position, forming);
        if forming == Forming::Wait {
            self.publish(Ok(path));
        }
        self.publish_homes();
        Ok(())
    }

    fn publish(&self, database: std::result::Result<PathBuf, String>) {
        let is_served = database.is_ok();
        self.shared.rows.close();
        {
            let mut serving = self.shared.serving.lock();
            serving.epoch = serving.epoch.saturating_add(1);
            serving.database = database;
        }
        if is_served {
            self.shared.rows.open();
        }
    }

    /// Tells which homes hold what, if that changed.
    pub(super) fn publish_homes(&self) {
        let complete = self.replicas.complete();
        let missing = self.replicas.wanted().saturating_sub(complete.len());
        let served = self.database.is_some().then_some((self.home.drive, true));
        let copies = complete.into_iter().map(|drive| (drive, false));
        let homes: Vec<_> = served.into_iter().chain(copies).collect();
        let mut serving = self.shared.serving.lock();
        if serving.homes != homes || serving.copies_missing != missing {
            serving.homes = homes;
            serving.copies_missing = missing;
        }
    }

    /// Stops serving the database and takes the newest complete copy into service. `false` if that is not possible
    /// now; it is tried again later, and requests are refused meanwhile.
    pub(super) fn fail_over(&mut self, reason: &str) -> bool {
        tracing::error!(reason, home = %self.home.dir.display(), "the metadata database is not trusted any more");
        self.publish(Err(format!("the metadata is being rebuilt: {reason}")));
        // With a complete copy elsewhere the distrusted file is left alone; without one it is all there is.
        self.excluded |= self.replicas.any_complete();
        self.replicas.stop();
        self.database = None;
        self.publish_homes();
        self.recover()
    }

    /// Tries to have a database again.
    pub(super) fn recover(&mut self) -> bool {
        self.tried = Instant::now();
        let homes = self.replicas.homes(&self.position);
        let damaged = homes.iter().position(|home| home.drive == self.home.drive).filter(|_| self.excluded);
        let served = survive::while_running(&homes, damaged, &self.position)
            .map_err(|error| format!("{error}: {error:?}"))
            .and_then(|recovered| {
                self.serve(&homes, recovered, Forming::Background).map_err(|failure| format!("{failure:?}"))
            });
        if let Err(reason) = &served {
            tracing::error!(reason, "the metadata could not be rebuilt");
            self.publish(Err(reason.clone()));
        }
        served.is_ok()
    }

    /// Upkeep between batches.
    pub(super) fn tend(&mut self) {
        let checked = self.database.as_mut().map(Database::check);
        match checked {
            Some(Ok(())) => {
                if let Trouble::Database(reason) = self.replicas.tend(&self.position) {
                    self.fail_over(&reason);
                }
            }
            Some(Err(failure)) => {
                self.fail_over(&format!("{failure:?}"));
            }
            None => {
                if self.tried.elapsed() >= super::writer::RETRY_AFTER {
                    self.recover();
                }
            }
        }
        self.publish_homes();
    }
}
