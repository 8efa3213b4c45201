//! A node whose drives became fewer or more since it was last started.
//!
//! Drives that were retired in the metadata are passed over, whether their directories are still given or not; empty
//! directories that are given behind the others become new drives. Either way the list of members on the drives is
//! written anew, with a higher generation: the highest counts, so a crash leaves the old list or the new one, and what was
//! not reached is written at the next start.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use granary_drive::{Found, Identity, Member, inspect, write_identity};
use granary_types::DriveId;

use super::format::GENERATION_FORMATTING;
use crate::error::{EngineError, Result};
use crate::nodes::Join;

/// The directories to open: `data` without those of retired drives. Blocks.
///
/// # Errors
/// When a list of members cannot be written.
pub(super) fn resize(data: &[PathBuf], retired: &HashSet<DriveId>, join: Join) -> Result<Vec<PathBuf>> {
    let found: Vec<(&PathBuf, Found)> = data.iter().map(|path| (path, inspect(path))).collect();
    let is_retired = |found: &Found| match found {
        Found::Drive(identity) => retired.contains(&identity.drive),
        _ => false,
    };
    let has_others = found.iter().any(|(_, found)| matches!(found, Found::Drive(_)) && !is_retired(found));
    if !has_others {
        // A new node, or one that was removed: whoever opens the drives says so.
        return Ok(data.to_vec());
    }
    let (gone, kept): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, found)| is_retired(found));
    for (path, _) in gone {
        tracing::warn!(directory = %path.display(), "the drive was removed from the store; leave its directory out");
    }
    rewrite(&kept, retired, join)?;
    Ok(kept.into_iter().map(|(path, _)| path.clone()).collect())
}

/// Writes the list of members that the directories make up, if it is another than the drives know.
fn rewrite(kept: &[(&PathBuf, Found)], retired: &HashSet<DriveId>, join: Join) -> Result<()> {
    let identities = kept.iter().filter_map(|(_, found)| match found {
        Found::Drive(identity) => Some(identity),
        _ => None,
    });
    let newest = identities.max_by_key(|identity| identity.generation);
    let Some(newest) = newest.filter(|newest| newest.generation != GENERATION_FORMATTING) else {
        return Ok(());
    };
    let mut stay: Vec<DriveId> = newest.members.iter().map(|member| member.drive).collect();
    stay.retain(|drive| !retired.contains(drive));
    let more = kept.get(stay.len()..).unwrap_or_default();
    let is_new = |found: &Found| matches!(found, Found::Empty | Found::Missing);
    let grows = join == Join::Allowed && more.iter().all(|(_, found)| is_new(found));
    if kept.len() < stay.len() || (kept.len() > stay.len() && !grows) {
        // Not a list that follows from the old one: whoever opens the drives says what is wrong with it.
        return Ok(());
    }
    for _ in more {
        stay.push(DriveId::random().map_err(|source| EngineError::Io { context: "drawing ids", source })?);
    }
    let members: Vec<Member> =
        stay.iter().zip(0_u16..).map(|(drive, slot)| Member { drive: *drive, slot }).collect();
    let is_current = members == newest.members
        && kept.iter().all(|(_, found)| match found {
            Found::Drive(identity) => identity.generation == newest.generation,
            _ => true,
        });
    let fits = kept.iter().zip(&members).all(|((_, found), member)| match found {
        Found::Drive(identity) => identity.drive == member.drive,
        _ => true,
    });
    if is_current || !fits {
        return Ok(());
    }
    let generation = newest.generation.saturating_add(u64::from(members != newest.members));
    let listed = Identity { generation, members, ..newest.clone() };
    // The new ones first: once any drive names them, they are there.
    let new_first = kept.iter().zip(&listed.members).rev();
    for ((path, found), member) in new_first {
        let is_added = !newest.members.iter().any(|known| known.drive == member.drive);
        if matches!(found, Found::Drive(_)) || is_added {
            write_identity(
                path.as_path(),
                &Identity { drive: member.drive, slot: member.slot, ..listed.clone() },
            )?;
        }
    }
    report(newest, &listed, kept.first().map(|(path, _)| path.as_path()));
    Ok(())
}

fn report(before: &Identity, now: &Identity, first: Option<&Path>) {
    let first = first.map(|path| path.display().to_string()).unwrap_or_default();
    tracing::info!(
        before = before.members.len(),
        now = now.members.len(),
        first,
        "the node's list of drives is written anew"
    );
}

#[cfg(test)]
#[path = "resize_tests.rs"]
mod tests;
