//! What a version was told to be after it was put: its class, and the blobs it refers to instead of those that it shared. Pure.

use std::collections::BTreeMap;

use granary_metadata::Content;
use granary_types::StorageClass;

use super::replay::{Record, Rules, has_all};
use crate::told::Stamp;

/// All that was told of one version later.
#[derive(Default)]
pub(super) struct Later {
    /// The coldest class that it was given.
    pub(super) class: Option<StorageClass>,
    /// Pieces of the manifests that tell which blobs it refers to.
    pieces: Vec<Record>,
}

impl Later {
    pub(super) fn learn(&mut self, record: Record) {
        let class = record.object.storage_class;
        if self.class.is_none_or(|known| known.may_become(class)) {
            self.class = Some(class);
        }
        if record.object.content.blobs().is_some() {
            self.pieces.push(record);
        }
    }

    /// The blobs that a version refers to which was told with `own` when it had `class`; `None` for its own. All blobs that were
    /// told hold the same bytes: the last are taken, and others if bytes of those are missing.
    pub(super) fn content(&self, own: &Content, class: StorageClass, rules: &Rules<'_>) -> Option<Content> {
        let mut told = self.manifests();
        told.retain(|(_, content)| is_alike(own, content));
        let first_older = told.partition_point(|((coldness, _), _)| *coldness >= class.coldness());
        let older = told.split_off(first_older);
        let mut newer = told.into_iter().map(|(_, content)| content);
        let mut older = older.into_iter().map(|(_, content)| content);
        let is_there = |content: &Content| has_all(content, rules);
        newer.find(is_there).or_else(|| if is_there(own) { None } else { older.find(is_there) })
    }

    /// The manifests that are whole, the last first: by how cold the version was by then, and when they were written.
    fn manifests(&self) -> Vec<((u8, Stamp), Content)> {
        let mut manifests: BTreeMap<(u8, Stamp), BTreeMap<u32, &Record>> = BTreeMap::new();
        for record in &self.pieces {
            let of = (record.object.storage_class.coldness(), record.stamp);
            manifests.entry(of).or_default().insert(record.piece.index, record);
        }
        let whole = manifests.into_iter().rev().filter_map(|(of, pieces)| Some((of, joined(&pieces)?)));
        whole.collect()
    }
}

/// A content from the pieces that tell it; `None` if there are not all of them.
pub(super) fn joined(pieces: &BTreeMap<u32, &Record>) -> Option<Content> {
    let first = pieces.values().next()?;
    let is_whole = usize::try_from(first.piece.of).is_ok_and(|of| of == pieces.len());
    let (_, multipart) = first.object.content.blobs().filter(|_| is_whole)?;
    let parts = pieces.values().flat_map(|record| record.object.content.parts()).cloned().collect();
    Some(Content::Blobs { parts, multipart }.sealed_like(&first.object.content))
}

/// Whether two contents consist of parts of the same lengths.
fn is_alike(one: &Content, other: &Content) -> bool {
    let lengths =
        |content: &Content| -> Vec<u64> { content.parts().iter().map(|part| part.length_bytes).collect() };
    lengths(one) == lengths(other)
}

#[cfg(test)]
#[path = "later_tests.rs"]
mod tests;
