//! Making drives of empty directories.
//!
//! A new store's identities are first written with generation 0, and with generation 1 when its metadata exists: a
//! crash in between is resumed, not mistaken for a store that lost its metadata.

use std::path::PathBuf;
use std::sync::Arc;

use granary_drive::{Drive, Identity, Member, write_identity};
use granary_erasure::Profile;
use granary_types::{ClusterId, DriveId, crash_point};

use crate::error::{EngineError, Result};

/// The generation of identities of a store that is being made.
pub(crate) const GENERATION_FORMATTING: u64 = 0;

pub(crate) fn format(data: &[PathBuf], profile: Profile, cluster: Option<ClusterId>) -> Result<()> {
    let random = |source| EngineError::Io { context: "drawing ids", source };
    let cluster = match cluster {
        Some(cluster) => cluster,
        None => ClusterId::random().map_err(random)?,
    };
    let members = (0_u16..)
        .zip(data)
        .map(|(slot, _)| Ok(Member { drive: DriveId::random().map_err(random)?, slot }))
        .collect::<Result<Vec<_>>>()?;
    for (member, path) in members.iter().zip(data) {
        let mut identity = Identity::new(cluster, member, &members, &profile.to_string());
        identity.generation = GENERATION_FORMATTING;
        write_identity(path, &identity)?;
        crash_point("format.after_identity");
    }
    Ok(())
}

/// Writes the identities that a crash kept from being written.
pub(crate) fn resume(data: &[PathBuf], begun: &Identity) -> Result<()> {
    for (member, path) in begun.members.iter().zip(data) {
        if matches!(granary_drive::inspect(path), granary_drive::Found::Missing | granary_drive::Found::Empty)
        {
            write_identity(path, &Identity { drive: member.drive, slot: member.slot, ..begun.clone() })?;
        }
    }
    Ok(())
}

/// Marks a new store as made: from now on its metadata must be found. And tells every drive of the newest membership: a
/// process that died while it replaced a drive may have told the new one only, which may be away at the next start.
pub(crate) fn settle_identities(drives: &[Arc<Drive>]) -> Result<()> {
    let Some(newest) = drives.iter().map(|drive| drive.identity()).max_by_key(|known| known.generation)
    else {
        return Ok(());
    };
    let generation = newest.generation.max(GENERATION_FORMATTING + 1);
    for drive in drives.iter().filter(|drive| drive.identity().generation != generation) {
        let known = drive.identity();
        let settled = Identity { generation, members: newest.members.clone(), ..known.clone() };
        match write_identity(drive.directory(), &settled) {
            Err(error) if known.generation != GENERATION_FORMATTING => {
                tracing::warn!(drive = %drive.directory().display(), %error, "the newest membership could not be written here");
            }
            written => written?,
        }
        crash_point("format.after_generation");
    }
    Ok(())
}

/// The identity of a new drive in `slot`, in a membership one generation on.
pub(crate) fn next_identity(current: &Identity, slot: u16, drive: DriveId) -> Identity {
    let mut next = current.clone();
    for member in &mut next.members {
        if member.slot == slot {
            member.drive = drive;
        }
    }
    next.generation += 1;
    next.slot = slot;
    next.drive = drive;
    next
}
