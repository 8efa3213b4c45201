//! Classes of drives, and where storage classes lie.

use std::str::FromStr;

use granary_types::{DriveClass, StorageClass};
use serde::{Deserialize, Serialize};

use super::ErasureSetting;

/// What is said of the class of the drives in a pattern: `hdd:/mnt/h{1...6}`. A relative path that begins so is given as
/// `./hdd:…`.
pub(super) fn classed(pattern: &str) -> (Option<DriveClass>, &str) {
    let said = pattern.split_once(':').and_then(|(class, path)| Some((class.parse().ok()?, path)));
    said.map_or((None, pattern), |(class, path)| (Some(class), path))
}

/// What becomes of writes to SSDs that are full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum FullSetting {
    /// They are refused.
    Refuse,
    /// They go to the disks.
    Spill,
}

/// Where a storage class lies, as written: `GLACIER=hdd` or `GLACIER=hdd:8+3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierSetting {
    /// The storage class.
    pub class: StorageClass,
    /// The class of drives it lies on.
    pub drives: DriveClass,
    /// Its erasure code; by the number of drives if unset.
    pub erasure: Option<ErasureSetting>,
}

impl FromStr for TierSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            || format!("{text:?} is not of the form CLASS=DRIVES or CLASS=DRIVES:k+m, as GLACIER=hdd:8+3");
        let (class, rest) = text.split_once('=').ok_or_else(form)?;
        let class =
            StorageClass::parse(class).ok_or_else(|| format!("{class:?} is no storage class of S3"))?;
        let (drives, erasure) = match rest.split_once(':') {
            Some((drives, code)) => (drives, Some(code.parse()?)),
            None => (rest, None),
        };
        let drives = drives.parse::<DriveClass>().map_err(|error| error.to_string())?;
        Ok(Self { class, drives, erasure })
    }
}
