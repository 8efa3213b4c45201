//! Classes of drives, and where storage classes lie.

use std::str::FromStr;

use anyhow::{Result, ensure};
use granary_types::{DriveClass, StorageClass};
use serde::{Deserialize, Serialize};

use super::ErasureSetting;

/// What is said of the class of the drives in a pattern: `hdd:/mnt/h{1...6}`. A relative path that begins so is given as
/// `./hdd:…`.
///
/// # Errors
/// A word before an absolute path that is no class of drives: taken for a part of the path, a mistyped class would put the
/// drive into the working directory.
pub(super) fn classed(pattern: &str) -> Result<(Option<DriveClass>, &str)> {
    let Some((word, path)) = pattern.split_once(':') else { return Ok((None, pattern)) };
    if let Ok(class) = word.parse() {
        return Ok((Some(class), path));
    }
    let is_word = word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    ensure!(
        !(is_word && path.starts_with('/')),
        "{word:?} is no class of drives: ssd or hdd (a path that begins so is given as ./{pattern})"
    );
    Ok((None, pattern))
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
