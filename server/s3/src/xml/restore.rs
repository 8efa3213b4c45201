//! The request document of RestoreObject.

use super::read::{Element, Limits, malformed, parse};
use crate::error::{S3Error, S3Result};

/// How urgent a restore is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are AWS's names")]
pub enum RetrievalTier {
    Expedited,
    #[default]
    Standard,
    Bulk,
}

/// A RestoreObject request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreRequest {
    /// How many days the object is to be readable, at least one.
    pub days: u32,
    /// How urgent it is.
    pub tier: RetrievalTier,
}

/// Reads a `RestoreRequest` document.
///
/// # Errors
/// `MalformedXML` for what does not follow the schema or names no days; `NotImplemented` for a select job.
pub fn parse_restore(document: &[u8]) -> S3Result<RestoreRequest> {
    let root = parse(document, &Limits::SMALL)?;
    if root.name != "RestoreRequest" {
        return Err(malformed());
    }
    let (mut days, mut tier) = (None, RetrievalTier::default());
    for child in &root.children {
        match child.name.as_str() {
            "Days" => days = Some(parse_days(&child.text)?),
            "Tier" => tier = parse_tier(&child.text)?,
            "GlacierJobParameters" => tier = parse_tier(&only_tier(child)?.text)?,
            "Description" => {}
            "Type" | "SelectParameters" | "OutputLocation" => {
                return Err(S3Error::not_implemented("A select job on an archived object"));
            }
            _ => return Err(malformed()),
        }
    }
    Ok(RestoreRequest { days: days.ok_or_else(malformed)?, tier })
}

fn only_tier(parameters: &Element) -> S3Result<&Element> {
    match parameters.children.as_slice() {
        [tier] if tier.name == "Tier" => Ok(tier),
        _ => Err(malformed()),
    }
}

fn parse_days(text: &str) -> S3Result<u32> {
    let days = text.trim().parse().ok().filter(|days| *days > 0);
    days.ok_or_else(malformed)
}

fn parse_tier(text: &str) -> S3Result<RetrievalTier> {
    match text.trim() {
        "Expedited" => Ok(RetrievalTier::Expedited),
        "Standard" => Ok(RetrievalTier::Standard),
        "Bulk" => Ok(RetrievalTier::Bulk),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
