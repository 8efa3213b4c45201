//! `granary tier`.

use anyhow::{Context, Result};
use granary_admin::{ClassReport, CopiesReport, TierReport, WarmReport};

use super::{Target, size, used};
use crate::output::{OutputFormat, print_json, print_line, table};

/// `granary tier list`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn list_tiers(target: &Target, format: OutputFormat) -> Result<()> {
    let list = target.client()?.tiers().await.context("listing tiers")?;
    if format == OutputFormat::Json {
        return print_json(&list);
    }
    let classes: Vec<_> = list.classes.iter().map(class_row).collect();
    print_line(&table(&["CLASS", "DRIVES", "ERASURE"], &classes))?;
    if !list.tiered {
        print_line("All drives are of one class: every storage class is kept on them.")?;
    }
    print_line("")?;
    let header = ["DRIVES", "COUNT", "CAPACITY", "FREE", "USED", "VOLUMES", "STORED", "LIVE", "LIVE PART"];
    print_line(&table(&header, &list.tiers.iter().map(tier_row).collect::<Vec<_>>()))?;
    for note in list.tiers.iter().filter_map(note) {
        print_line(&note)?;
    }
    if list.warm.limit_bytes == 0 {
        return Ok(());
    }
    print_line("")?;
    print_line(&warm_line(&list.warm))
}

/// What the numbers of a tier do not say by themselves.
fn note(tier: &TierReport) -> Option<String> {
    let Some(class) = tier.class else {
        let why = "as those from before the store had both, or before a drive changed its class";
        return Some(format!("Mixed: volumes that lie on drives of several classes, {why}."));
    };
    let then =
        if tier.spills { "what is written to them goes to the disks" } else { "writes to them are refused" };
    tier.full.then(|| format!("The drives of class {class} are full: {then}."))
}

/// What copies on SSDs of what lies on disks come to, in a line.
fn warm_line(warm: &WarmReport) -> String {
    let WarmReport { limit_bytes, prefetched, promoted, pinned, restored, restoring } = warm;
    let copies = |copies: &CopiesReport| format!("{} in {} copies", size(copies.bytes), copies.copies);
    format!(
        "Warm copies on SSDs: prefetched or cached {}, promoted {}, together at most {}; pinned {}; restored {}, {restoring} under way",
        copies(prefetched),
        copies(promoted),
        size(*limit_bytes),
        copies(pinned),
        copies(restored),
    )
}

fn class_row(class: &ClassReport) -> Vec<String> {
    vec![
        class.class.clone(),
        class.drives.map_or("all", granary_types::DriveClass::as_str).to_owned(),
        class.erasure.clone().unwrap_or_else(|| "no drives: writes are refused".to_owned()),
    ]
}

fn tier_row(tier: &TierReport) -> Vec<String> {
    let percent = |part: f64| format!("{:.0} %", part * 100.0);
    vec![
        tier.class.map_or("mixed", granary_types::DriveClass::as_str).to_owned(),
        tier.drives.to_string(),
        size(tier.capacity_bytes),
        size(tier.free_bytes),
        used(tier.capacity_bytes, tier.free_bytes),
        tier.volumes.to_string(),
        size(tier.stored_bytes),
        size(tier.live_bytes),
        tier.live_fraction.map_or_else(|| "-".to_owned(), percent),
    ]
}

#[cfg(test)]
#[path = "tiers_tests.rs"]
mod tests;
