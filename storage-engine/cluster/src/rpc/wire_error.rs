//! Errors of a drive on their way to another node. What decides (lost, full, stalled) arrives as it was.

use std::io;
use std::path::{Path, PathBuf};

use granary_drive::DriveError;
use serde::{Deserialize, Serialize};

const TEXT_LENGTH_BYTES_MAX: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireError {
    kind: Kind,
    path: String,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    /// With the operating system's number.
    System(i32),
    NotFound,
    OtherIo,
    NoSpace,
    Tampered,
    Corrupt(u64),
    Identity,
    Stalled,
    Peer,
    Records,
}

impl WireError {
    pub(super) fn new(error: &DriveError) -> Self {
        let (kind, path, text) = match error {
            DriveError::Io { context, path, source } => {
                (io_kind(source), path, format!("{context}: {source}"))
            }
            DriveError::NoSpace { path } => (Kind::NoSpace, path, String::new()),
            DriveError::Tampered { path, what } => (Kind::Tampered, path, (*what).to_owned()),
            DriveError::Corrupt { path, offset, what } => (Kind::Corrupt(*offset), path, (*what).to_owned()),
            DriveError::Identity { path, reason } => (Kind::Identity, path, reason.clone()),
            DriveError::Stalled { path } => (Kind::Stalled, path, String::new()),
            DriveError::Peer { place, reason } => (Kind::Peer, place, reason.clone()),
            DriveError::Records(what) => return Self::bare(Kind::Records, (*what).to_owned()),
            other => return Self::bare(Kind::OtherIo, other.to_string()),
        };
        Self { kind, path: cut(path.display().to_string()), text: cut(text) }
    }

    fn bare(kind: Kind, text: String) -> Self {
        Self { kind, path: String::new(), text: cut(text) }
    }

    /// The error as it is seen here. `node` says whose path it is.
    pub(super) fn into_drive_error(self, node: &str) -> DriveError {
        let path = PathBuf::from(format!("{node}:{}", self.path));
        match self.kind {
            Kind::System(number) => io_error(path, io::Error::from_raw_os_error(number)),
            Kind::NotFound => io_error(path, io::Error::new(io::ErrorKind::NotFound, self.text)),
            Kind::OtherIo => io_error(path, io::Error::other(self.text)),
            Kind::NoSpace => DriveError::NoSpace { path },
            Kind::Tampered => DriveError::Tampered { path, what: known(&self.text, "changed") },
            Kind::Corrupt(offset) => {
                DriveError::Corrupt { path, offset, what: known(&self.text, "what is stored") }
            }
            Kind::Identity => DriveError::Identity { path, reason: self.text },
            Kind::Stalled => DriveError::Stalled { path },
            Kind::Peer | Kind::Records => DriveError::Peer { place: path, reason: self.text },
        }
    }
}

fn io_kind(source: &io::Error) -> Kind {
    match (source.raw_os_error(), source.kind()) {
        (Some(number), _) => Kind::System(number),
        (None, io::ErrorKind::NotFound) => Kind::NotFound,
        (None, _) => Kind::OtherIo,
    }
}

fn io_error(path: PathBuf, source: io::Error) -> DriveError {
    DriveError::Io { context: "using", path, source }
}

/// The error of a drive keeps its words as constants: those that are known come back as they were.
fn known(text: &str, otherwise: &'static str) -> &'static str {
    const KNOWN: [&str; 5] = [
        "removed",
        "cut short",
        "given up after a failed write",
        "taken out of use",
        "the shard file's header",
    ];
    KNOWN.into_iter().find(|known| *known == text).unwrap_or(otherwise)
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_LENGTH_BYTES_MAX));
    text
}

/// An error that did not come from the drive but from the way to it.
pub(super) fn peer_error(place: &str, reason: impl Into<String>) -> DriveError {
    DriveError::Peer { place: Path::new(place).to_owned(), reason: reason.into() }
}

#[cfg(test)]
#[path = "wire_error_tests.rs"]
mod tests;
