//! Whose rules hold where Amazon S3 and Ceph's object gateway disagree.
//!
//! AWS's rules are the default. For who moves from Ceph with tools that rely on its rules, a [`Dialect`] answers by a question
//! what is done otherwise; nobody asks for its name. No answer changes who may read or write anything, but for the logs
//! that a bucket's policy lets in as Ceph reads it.
//! Sources: <https://docs.ceph.com/en/latest/radosgw/s3/>, <https://docs.ceph.com/en/latest/radosgw/bucket_logging/>, and what
//! <https://github.com/ceph/s3-tests> expects.

use std::fmt;
use std::str::FromStr;

use granary_auth::policy::Sids;
use serde::{Deserialize, Serialize};

/// Whose rules hold where they disagree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Amazon S3's.
    #[default]
    Aws,
    /// Those of Ceph's object gateway (RGW).
    Ceph,
}

impl Dialect {
    const ALL: [Self; 2] = [Self::Aws, Self::Ceph];

    /// Its name in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Ceph => "ceph",
        }
    }

    fn is_ceph(self) -> bool {
        self == Self::Ceph
    }

    /// Whether the filter of a lifecycle rule may have several conditions without `And`. All must hold; beside an `And` they
    /// do not count.
    pub(crate) fn takes_bare_conditions(self) -> bool {
        self.is_ceph()
    }

    /// Whether a conditional delete of nothing succeeds and does nothing, and a delete marker is something: what `*` matches,
    /// and no tag, time or length.
    pub(crate) fn deletes_see_markers(self) -> bool {
        self.is_ceph()
    }

    /// Whether a listing may be asked for in any order (`allow-unordered`), which goes with no delimiter.
    pub(crate) fn lists_unordered(self) -> bool {
        self.is_ceph()
    }

    /// Whether HeadBucket tells what a bucket holds to who asks for it (`read-stats`).
    pub(crate) fn tells_usage(self) -> bool {
        self.is_ceph()
    }

    /// Whether who did not sign has a list of buckets, which is empty, rather than none.
    pub(crate) fn lists_buckets_of_nobody(self) -> bool {
        self.is_ceph()
    }

    /// Whether a new bucket may have this name, which AWS's rules allow.
    pub(crate) fn takes_bucket_name(self, name: &str) -> bool {
        !(self.is_ceph() && (name.contains(".-") || name.contains("-.")))
    }

    /// Whether a new bucket has no ownership controls if nobody asks for some. Then objects belong to their writers, so it is
    /// without effect where that is not the default.
    pub(crate) fn leaves_controls_out(self) -> bool {
        self.is_ceph()
    }

    /// Whether the statements of a bucket's policy may have the same ids.
    pub(crate) fn sids(self) -> Sids {
        if self.is_ceph() { Sids::Any } else { Sids::Unique }
    }

    /// Whether access logs go wherever a bucket's policy lets them, other accounts' buckets too. That is asked when they are
    /// configured as well, and for the prefix in place of each key; the policy may name the source's account by its canonical id.
    pub(crate) fn asks_policy_of_log_prefix(self) -> bool {
        self.is_ceph()
    }

    /// Whether a configuration of access logs is kept without grants, and with the format of keys that it left out.
    pub(crate) fn completes_logging(self) -> bool {
        self.is_ceph()
    }

    /// Whether access logs call copies `REST.PUT.OBJECT`, and have no line for what is copied but one for each key of a delete
    /// of several.
    pub(crate) fn logs_each_key(self) -> bool {
        self.is_ceph()
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Dialect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is none of {} and {}", Self::Aws, Self::Ceph))
    }
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
