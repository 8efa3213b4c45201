//! What new buckets begin with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who owns the objects that are put into a bucket, and whether access control lists count.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectOwnership {
    /// The bucket's owner; there are no lists. AWS's default since 2023.
    #[default]
    BucketOwnerEnforced,
    /// The bucket's owner, if the writer gives it full control.
    BucketOwnerPreferred,
    /// Whoever writes them.
    ObjectWriter,
}

impl ObjectOwnership {
    const ALL: [Self; 3] = [Self::BucketOwnerEnforced, Self::BucketOwnerPreferred, Self::ObjectWriter];

    /// AWS's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BucketOwnerEnforced => "BucketOwnerEnforced",
            Self::BucketOwnerPreferred => "BucketOwnerPreferred",
            Self::ObjectWriter => "ObjectWriter",
        }
    }
}

impl fmt::Display for ObjectOwnership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ObjectOwnership {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| {
            format!("{text:?} is none of BucketOwnerEnforced, BucketOwnerPreferred and ObjectWriter")
        })
    }
}

/// Whether public access to new buckets is blocked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PublicAccess {
    /// In all four ways. AWS's default since 2023.
    #[default]
    Blocked,
    /// In none.
    Open,
}
