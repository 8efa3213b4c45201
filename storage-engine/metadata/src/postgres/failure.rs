//! Why a statement or a transaction failed, and what can be done about it.

use crate::error::MetadataError;
use crate::sqlite::failure::{Failure as RowFailure, unavailable};

/// Why something did not succeed. Clonable, as all requests of a batch may share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Serialisation, a deadlock, a lock that took too long, or a row that another writer made meanwhile: nothing was
    /// applied, and the same batch may succeed when it is tried again.
    Conflict(String),
    /// The connection is gone or must not be used again.
    Lost(String),
    /// A row does not match its hash or cannot be decoded.
    Corrupt(String),
    /// The database refuses, and will again.
    Refused(String),
    /// What became of a COMMIT could not be found out.
    Unknown,
}

impl Failure {
    /// Whether trying again may help.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Conflict(_) | Self::Lost(_))
    }

    /// The error a caller sees.
    pub(super) fn to_error(&self, context: &'static str) -> MetadataError {
        match self {
            Self::Conflict(why) | Self::Lost(why) | Self::Refused(why) => unavailable(context, why.clone()),
            Self::Corrupt(what) => MetadataError::Corrupt { context: what.clone() },
            Self::Unknown => MetadataError::OutcomeUnknown { context },
        }
    }
}

impl From<RowFailure> for Failure {
    fn from(failure: RowFailure) -> Self {
        match failure {
            RowFailure::Corrupt(what) => Self::Corrupt(what),
            other => Self::Corrupt(format!("{other:?}")),
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default().into_owned();
                let text = format!("{} (SQLSTATE {code})", database.message());
                by_code(&code, text)
            }
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                Self::Corrupt(format!("a row has not the columns it should: {error}"))
            }
            // Configuration errors may quote the URL with its password.
            sqlx::Error::Configuration(_) => Self::Refused("the connection options are not valid".to_owned()),
            sqlx::Error::Tls(_) => Self::Lost(format!("TLS failed: {error}")),
            _ => Self::Lost(error.to_string()),
        }
    }
}

/// Source: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn by_code(code: &str, text: String) -> Failure {
    match code {
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Failure::Conflict(text),
        // Server shutting down or starting, too many connections, a read-only server (it was demoted), a plan that a
        // migration made stale, an idle transaction that was ended.
        "25006" | "25P03" | "53300" | "0A000" => Failure::Lost(text),
        // No such database: a standby that lags behind the statement that made it does not know it yet.
        "3D000" => Failure::Lost(text),
        code if code.starts_with("57P") || code.starts_with("08") || code == "40003" => Failure::Lost(text),
        _ => Failure::Refused(text),
    }
}

/// Whether the server refused a statement that it does not know or lets nobody use, and the connection is as good as before.
pub(super) fn is_answer(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
    // undefined_function, feature_not_supported, insufficient_privilege, invalid_parameter_value
    matches!(code.as_ref(), "42883" | "0A000" | "42501" | "22023")
}

/// Whether the server said that the transaction was rolled back, so that its outcome is known.
pub(super) fn is_rolled_back(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
    // Class 40 but 40003 (statement_completion_unknown), and integrity violations found at the end.
    (code.starts_with("40") && code != "40003") || code.starts_with("23") || code == "25P02"
}

/// Whether a statement undid itself, by a division by zero.
pub(super) fn is_undone(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some("22012")
}

/// Whether the server refused a statement that is a transaction of its own before it could be committed: it does not know it, has no
/// room for it, or was not done in time.
pub(super) fn is_refused(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
    // Classes of data, features, syntax and rights, resources, limits and states; query_canceled.
    let is_of = |class: &&str| code.starts_with(*class);
    ["0A", "21", "22", "42", "53", "54", "55"].iter().any(is_of) || code == "57014"
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
