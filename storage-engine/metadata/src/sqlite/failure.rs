//! Why a statement or an operation failed, before it becomes a [`MetadataError`].

use rusqlite::ErrorCode;

use crate::error::MetadataError;

/// Why an operation or a read did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The operation was refused and changed nothing.
    Refused(MetadataError),
    /// A row does not match its hash or cannot be decoded.
    Corrupt(String),
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// The file system refused.
    Io(std::io::Error),
    /// The bytes that an operation refers to are not durable, or not yet.
    NotDurable,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    /// Whether the database file itself can no longer be trusted or reached.
    pub(super) fn distrusts_file(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Io(_) | Self::NotDurable => false,
            Self::Corrupt(_) => true,
            Self::Sqlite(error) => match error {
                rusqlite::Error::SqliteFailure(failure, _) => matches!(
                    failure.code,
                    ErrorCode::DatabaseCorrupt
                        | ErrorCode::NotADatabase
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::CannotOpen
                        | ErrorCode::ReadOnly
                ),
                // A column of the wrong type: the row is not what was written.
                rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..) => {
                    true
                }
                _ => false,
            },
        }
    }

    /// The error a caller sees.
    pub(crate) fn into_error(self, context: &'static str) -> MetadataError {
        match self {
            Self::Refused(error) => error,
            Self::NotDurable => MetadataError::NotDurable,
            Self::Corrupt(what) => MetadataError::Corrupt { context: what },
            Self::Io(source) => MetadataError::Io { context: context.to_owned(), source },
            Self::Sqlite(source) => MetadataError::Unavailable { context, source: Box::new(source) },
        }
    }
}

/// An error text as a source for [`MetadataError::Unavailable`].
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Reason(pub(crate) String);

/// The store cannot answer now.
pub(crate) fn unavailable(context: &'static str, why: impl Into<String>) -> MetadataError {
    MetadataError::Unavailable { context, source: Box::new(Reason(why.into())) }
}
