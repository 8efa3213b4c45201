//! The rows of volumes, a page in each round of the background loop.
//!
//! A store of a million volumes must not read all of them every few seconds. What a round has to know of the others it
//! remembers from the pages before, in bounded room; a store of few volumes is one page, seen whole in every round.

use granary_metadata::{MetadataStore, VolumeRow};
use granary_types::VolumeId;

use crate::error::Result;

/// Rows of a page.
const PAGE_ROWS: u32 = 1000;

/// Where the walk over all volumes is.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    after: Option<VolumeId>,
}

/// A page of rows, by id.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) rows: Vec<VolumeRow>,
    /// Whether a turn over all volumes begins with it.
    pub(crate) is_first: bool,
    /// Whether it ends one.
    pub(crate) is_last: bool,
}

impl Pages {
    /// The next page; after the last comes the first.
    pub(crate) async fn next(&mut self, store: &dyn MetadataStore) -> Result<Page> {
        let rows = store.volumes(self.after, PAGE_ROWS).await?;
        Ok(self.take(rows))
    }

    fn take(&mut self, rows: Vec<VolumeRow>) -> Page {
        let is_first = self.after.is_none();
        let is_last = rows.len() < PAGE_ROWS as usize;
        self.after = rows.last().map(|row| row.volume.id).filter(|_| !is_last);
        Page { rows, is_first, is_last }
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
