//! Failures of the admin API, on both of its sides.

use granary_auth::AuthError;
use http::StatusCode;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The request is not signed, or not rightly.
    #[error("{0}")]
    Auth(#[from] AuthError),
    /// The request is signed by someone who is not root, or not at all.
    #[error("the admin API is for the root user only")]
    NotRoot,
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// There is no such task or path.
    #[error("{0}")]
    NotFound(String),
    /// Not now; later.
    #[error("{0}")]
    Unavailable(String),
    /// The client could not reach the server, or did not understand it.
    #[error("{context}")]
    Transport {
        /// What was being done.
        context: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refused the client's request.
    #[error("the server answered {status} {code}: {message}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its error code.
        code: String,
        /// Its message.
        message: String,
    },
}

impl AdminError {
    /// The code in the error document.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Auth(error) => error.code(),
            Self::NotRoot => "AccessDenied",
            Self::Invalid(_) => "InvalidRequest",
            Self::NotFound(_) => "NotFound",
            Self::Unavailable(_) => "ServiceUnavailable",
            Self::Transport { .. } => "Transport",
            Self::Refused { code, .. } => code,
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Auth(error) => error.status(),
            Self::NotRoot => StatusCode::FORBIDDEN,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Transport { .. } => StatusCode::BAD_GATEWAY,
            Self::Refused { status, .. } => *status,
        }
    }

    pub(crate) fn transport(
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Transport { context: context.into(), source: source.into() }
    }
}
