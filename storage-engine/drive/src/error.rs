//! What can go wrong on one drive.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// What a read is answered with when a sector, or what the file system knows of it, cannot be read: past the page cache a medium
/// error is `ENODATA`, through it `EIO`.
const OF_SECTORS: [i32; 5] = [
    Errno::IO.raw_os_error(),
    Errno::NODATA.raw_os_error(),
    Errno::ILSEQ.raw_os_error(),
    Errno::BADMSG.raw_os_error(),
    Errno::UCLEAN.raw_os_error(),
];

/// Whether a read failed because of a sector, as far as the answer tells.
pub(crate) fn is_of_sector(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|it| OF_SECTORS.contains(&it))
}

/// An error of one drive. Which drive it was is in the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// The operating system refused.
    #[error("{context} {path}")]
    Io {
        /// What was being done.
        context: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The drive is full.
    #[error("no room left on {path}")]
    NoSpace {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// A file was removed or cut behind our back, or failed before.
    #[error("{path} was {what}")]
    Tampered {
        /// The file.
        path: PathBuf,
        /// What happened to it.
        what: &'static str,
    },
    /// Stored bytes do not match their hash or their place.
    #[error("{what} is corrupt in {path} at byte {offset}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What was expected there.
        what: &'static str,
    },
    /// The identity file cannot be used.
    #[error("{path}: {reason}")]
    Identity {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The drive's thread did not answer within its progress deadline, or is gone.
    #[error("drive {path} does not make progress")]
    Stalled {
        /// The directory.
        path: PathBuf,
    },
    /// The node that has the drive could not be asked, or its answer cannot be used. Says nothing of what is stored.
    #[error("{place}: {reason}")]
    Peer {
        /// The drive, or the node if no drive was meant.
        place: PathBuf,
        /// Why.
        reason: String,
    },
    /// Records do not fit or cannot be encoded.
    #[error("records cannot be encoded: {0}")]
    Records(&'static str),
}

impl DriveError {
    /// Wraps an operating system error; a full drive is told apart.
    pub(crate) fn io(context: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Self::NoSpace { path: path.to_owned() };
        }
        Self::Io { context, path: path.to_owned(), source }
    }

    /// Whether the file itself is missing or wrong: reading it again will not help, and rebuilding it will. Other
    /// errors may pass and say nothing of what is stored.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Corrupt { .. } | Self::Identity { .. } | Self::Tampered { .. } => true,
            _ => false,
        }
    }

    /// Whether a sector, or what the file system knows of it, could not be read, as far as the answer tells. It may be lost while the
    /// rest of the file is well, or a drive that is about to go, or is only being reset, answers so for all of it: so it is
    /// no reason to give up what cannot be had from elsewhere.
    #[must_use]
    pub fn is_of_sector(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_of_sector(source))
    }

    /// Whether the drive is merely full.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }
}
