//! What of the cluster decides whether a heal that failed is worth another attempt.

use std::collections::HashSet;

use granary_types::{DriveId, NodeId};

/// The nodes and drives as the last round saw them.
#[derive(Default)]
pub(super) struct Around {
    /// The nodes that answered.
    answering: HashSet<NodeId>,
    /// The drives of which nothing is waited for any more.
    retired: HashSet<DriveId>,
}

impl Around {
    /// Whether columns may be healed now that could not be before: a node is back, and others are read again; or one was removed
    /// with its drives, and what they had may go elsewhere.
    pub(super) fn may_heal_more(&mut self, answering: HashSet<NodeId>, retired: HashSet<DriveId>) -> bool {
        let more = !answering.is_subset(&self.answering) || !retired.is_subset(&self.retired);
        *self = Self { answering, retired };
        more
    }
}

#[cfg(test)]
#[path = "around_tests.rs"]
mod tests;
