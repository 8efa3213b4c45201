//! What kind of drive bytes lie on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text names no class of drives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no class of drives: ssd or hdd")]
pub struct DriveClassError(String);

/// The class of a drive: what its storage is made of, as far as it matters to where objects are placed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriveClass {
    /// Nobody has told yet: a drive that was not there since there are classes. It makes no store tiered.
    #[default]
    Untold,
    /// No moving parts; also whatever the kernel does not know to have any.
    Ssd,
    /// Rotating disks: large, cheap, and slow unless they are read and written in order.
    Hdd,
}

impl DriveClass {
    /// All that are told.
    pub const ALL: [Self; 2] = [Self::Ssd, Self::Hdd];

    /// The name that people use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untold => "untold",
            Self::Ssd => "ssd",
            Self::Hdd => "hdd",
        }
    }
}

impl fmt::Display for DriveClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DriveClass {
    type Err = DriveClassError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|class| class.as_str() == text);
        named.ok_or_else(|| DriveClassError(text.to_owned()))
    }
}
