//! Warm copies on SSDs.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use granary_engine::WarmOptions;
use serde::Serialize;

use super::Settings;

/// Settings of warm copies given on the command line.
#[derive(Debug, Args, Serialize)]
pub struct WarmSettings {
    /// Bytes that copies of objects on disks may take on SSDs that were prefetched, or are read again; pinned and restored ones
    /// do not count [default: a fifth of the SSDs].
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_bytes: Option<u64>,
    /// So many reads within the window give an INTELLIGENT_TIERING object a copy on SSDs; 0 for never [default: 3].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    promote_reads: Option<u32>,
    /// So many reads within the window give an object of another class on disks a copy, if nothing as hot has to go for it; 0
    /// for never [default: 2].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_reads: Option<u32>,
    /// That window: after it a read counts half [default: 86400].
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    promote_window_seconds: Option<u64>,
    /// After so long without a read such a copy goes [default: 604800].
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    demote_after_seconds: Option<u64>,
}

/// The engine's options of warm copies.
pub fn warm_options(settings: &Settings) -> WarmOptions {
    WarmOptions {
        bytes_max: settings.warm_bytes,
        promote_reads: settings.promote_reads,
        cache_reads: settings.cache_reads,
        promote_window: Duration::from_secs(settings.promote_window_seconds),
        demote_after: Duration::from_secs(settings.demote_after_seconds),
    }
}

/// Refuses what makes no sense.
pub(super) fn check(settings: &Settings) -> Result<()> {
    const YEAR_S: u64 = 366 * 24 * 60 * 60;
    let times = [
        ("promote_window_seconds", settings.promote_window_seconds),
        ("demote_after_seconds", settings.demote_after_seconds),
    ];
    for (name, value) in times {
        ensure!((1..=YEAR_S).contains(&value), "{name} must be from 1 to {YEAR_S}, not {value}");
    }
    Ok(())
}
