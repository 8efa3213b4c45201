//! Which objects are too small to be moved to other classes.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html>

use std::fmt;
use std::str::FromStr;

use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use crate::error::{S3Error, S3Result};
use crate::respond::set;

const HEADER: &str = "x-amz-transition-default-minimum-object-size";

/// Which objects are too small to be moved to other classes, where a rule's filter does not name lengths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransitionMinimum {
    /// Those below 128 KiB. AWS's default since September 2024.
    #[default]
    #[serde(rename = "all_storage_classes_128K")]
    AllClasses128K,
    /// Those below 128 KiB, but for GLACIER and `DEEP_ARCHIVE` none. AWS's default before.
    #[serde(rename = "varies_by_storage_class")]
    VariesByClass,
}

impl TransitionMinimum {
    const ALL: [Self; 2] = [Self::AllClasses128K, Self::VariesByClass];

    /// AWS's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllClasses128K => "all_storage_classes_128K",
            Self::VariesByClass => "varies_by_storage_class",
        }
    }
}

impl fmt::Display for TransitionMinimum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TransitionMinimum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| {
            format!("{text:?} is none of {} and {}", Self::AllClasses128K, Self::VariesByClass)
        })
    }
}

/// What a request says of it; `default` if it says nothing.
///
/// # Errors
/// `InvalidRequest` for a value that is none.
pub(crate) fn minimum(headers: &HeaderMap, default: TransitionMinimum) -> S3Result<TransitionMinimum> {
    let Some(value) = headers.get(HEADER) else { return Ok(default) };
    let known = value.to_str().ok().and_then(|text| text.parse::<TransitionMinimum>().ok());
    known.ok_or_else(|| {
        S3Error::invalid_request(format!("Invalid TransitionDefaultMinimumObjectSize in {HEADER}"))
    })
}

/// Tells it back. Rules with which none was kept are followed by AWS's default, whatever new ones begin with.
pub(crate) fn show_minimum(headers: &mut HeaderMap, kept: Option<&str>) {
    let value = kept.unwrap_or(TransitionMinimum::AllClasses128K.as_str());
    set(headers, HeaderName::from_static(HEADER), value);
}

#[cfg(test)]
#[path = "minimum_tests.rs"]
mod tests;
