//! The homes a store knows: whether their directories are still there, what they hold, tidying them up.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::files::{self, Identity, Listing};
use super::log::InUse;
use super::scan::{Base, Databases, reach, scan};
use super::watch::{Pulse, Watched};
use crate::sqlite::options::Home;
use crate::sqlite::schema::Position;

/// A home as the store knows it.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) home: Home,
    /// The directory when the store was opened. Another one in its place is another drive, not ours to use.
    directory: Option<Identity>,
    pub(super) retry_at: Option<Instant>,
    pub(super) in_use: InUse,
}

/// Whether it is looked for copies that are complete already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looking {
    /// Yes: nothing is committed meanwhile.
    AtCopies,
    /// No: that would read whole snapshots while commits wait, and the copy of a home that was left is behind.
    AtDirectories,
}

/// What a home keeps when it is tidied up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// The database that serves; no copies.
    Database,
    /// The copy in it; no database.
    Copy,
    /// Nothing of any metadata.
    Nothing,
}

impl Known {
    pub(super) fn new(home: Home, in_use: InUse) -> Self {
        let directory = Identity::of(&home.dir).ok();
        Self { home, directory, retry_at: None, in_use }
    }

    /// Whether the directory is still the one that was opened.
    fn is_here(&self) -> bool {
        match (&self.directory, Identity::of(&self.home.dir)) {
            (Some(then), Ok(now)) => then.same_file(&now),
            _ => false,
        }
    }

    /// Whether no thread works in it. One that was left behind on a drive that hangs still does.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.in_use) == 1
    }

    pub(super) fn may_be_tried(&self) -> bool {
        self.is_idle() && self.retry_at.is_none_or(|at| Instant::now() >= at)
    }

    /// Does something in the home, in a thread that is left behind when it does not get on.
    fn watched<T: Send + 'static>(
        &self,
        deadline: Duration,
        work: impl FnOnce(Self, &Pulse) -> T + Send + 'static,
    ) -> io::Result<T> {
        let known = self.clone();
        let in_use = Arc::clone(&self.in_use);
        Watched::begin("metadata-home", deadline, in_use, move |pulse| work(known, pulse))?.wait()
    }

    /// Whether it is still here and, if that is asked, holds everything up to `position`. `None` if it cannot be used
    /// or its drive does not get on.
    pub(super) fn examine(&self, position: &Position, looking: Looking, deadline: Duration) -> Option<bool> {
        let position = *position;
        let look = move |known: Self, pulse: &Pulse| {
            known.is_here().then(|| looking == Looking::AtCopies && reaches(&known.home, &position, pulse))
        };
        self.watched(deadline, look).ok()?
    }

    /// Removes old copies and databases from the home.
    pub(super) fn sweep(&self, keeping: Keeping, deadline: Duration) -> io::Result<()> {
        let sweep = move |known: Self, _: &Pulse| {
            if !known.is_here() {
                return Ok(());
            }
            let dir = &known.home.dir;
            if keeping != Keeping::Database && Listing::read(dir)?.database {
                files::set_aside(dir)?;
            }
            if keeping == Keeping::Copy { Ok(()) } else { files::cut(dir, None, None) }
        };
        self.watched(deadline, sweep)?
    }
}

/// Whether what lies in the home alone leads to exactly this position.
fn reaches(home: &Home, position: &Position, pulse: &Pulse) -> bool {
    let Ok(found) = scan(std::slice::from_ref(home), Databases::AllBut(0), pulse) else { return false };
    found.bases.iter().any(|(base, kind)| {
        let Base::Snapshot { seal, .. } = kind else { return false };
        let (end, _) = reach(&found, base);
        end.store == position.store
            && (end.seq, end.chain) == (position.seq, position.chain)
            && seal.holds(&home.dir, pulse)
    })
}
