//! IAM's and STS's errors: one table with each code beside its HTTP status.
//!
//! Sources: <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html> and the errors of each action there.

use granary_auth::AuthError;
use granary_auth::policy::PolicyError;
use granary_engine::EngineError;
use http::StatusCode;

macro_rules! codes {
    ($($variant:ident = $status:ident;)+) => {
        /// The code of an error, which decides its HTTP status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the variants are AWS's names")]
        pub enum Code {
            $($variant),+
        }

        impl Code {
            /// The text of `<Code>`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }

            /// The HTTP status sent with the code.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }
        }
    };
}

codes! {
    AccessDenied = FORBIDDEN;
    DeleteConflict = CONFLICT;
    EntityAlreadyExists = CONFLICT;
    ExpiredToken = FORBIDDEN;
    ExpiredTokenException = BAD_REQUEST;
    IDPCommunicationError = BAD_REQUEST;
    IncompleteSignature = BAD_REQUEST;
    InvalidAction = BAD_REQUEST;
    InvalidClientTokenId = FORBIDDEN;
    InvalidIdentityToken = BAD_REQUEST;
    InvalidInput = BAD_REQUEST;
    InvalidParameterValue = BAD_REQUEST;
    LimitExceeded = CONFLICT;
    MalformedPolicyDocument = BAD_REQUEST;
    MissingAuthenticationToken = FORBIDDEN;
    NoSuchEntity = NOT_FOUND;
    NotImplemented = NOT_IMPLEMENTED;
    PackedPolicyTooLarge = BAD_REQUEST;
    RequestEntityTooLarge = PAYLOAD_TOO_LARGE;
    ServiceFailure = INTERNAL_SERVER_ERROR;
    ServiceUnavailable = SERVICE_UNAVAILABLE;
    SignatureDoesNotMatch = FORBIDDEN;
    ValidationError = BAD_REQUEST;
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum IamError {
    /// What AWS has a code for.
    #[error("{message}")]
    Refused {
        /// The code.
        code: Code,
        /// What is told to the client.
        message: String,
    },
    /// The metadata could not be asked, or not changed.
    #[error("the identities could not be {doing}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: EngineError,
    },
    /// A stored document, or the key that secrets are sealed with, cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// What the functions of this crate return.
pub type Result<T, E = IamError> = std::result::Result<T, E>;

impl IamError {
    /// An error with a code of AWS's.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }

    /// Something of that kind and name is not there.
    #[must_use]
    pub fn no_such(kind: &str, name: &str) -> Self {
        Self::new(Code::NoSuchEntity, format!("The {kind} with name {name} cannot be found."))
    }

    /// `ValidationError` with its reason.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::ValidationError, message)
    }

    /// A quota is used up.
    #[must_use]
    pub fn limit(what: &str, limit: usize) -> Self {
        Self::new(Code::LimitExceeded, format!("Cannot exceed quota for {what}: {limit}"))
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Store { source: EngineError::Metadata(_) | EngineError::Unavailable { .. }, .. } => {
                Code::ServiceUnavailable
            }
            Self::Store { .. } | Self::Unusable(_) => Code::ServiceFailure,
        }
    }

    /// What the client is told; what went wrong inside is for the log.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Refused { message, .. } => message.clone(),
            Self::Store { .. } | Self::Unusable(_) => {
                "The request processing has failed because of an internal error.".to_owned()
            }
        }
    }
}

impl From<PolicyError> for IamError {
    fn from(error: PolicyError) -> Self {
        Self::new(Code::MalformedPolicyDocument, error.to_string())
    }
}

impl From<AuthError> for IamError {
    fn from(error: AuthError) -> Self {
        let code = match &error {
            AuthError::InvalidAccessKeyId | AuthError::InvalidToken => {
                let message = "The security token included in the request is invalid.";
                return Self::new(Code::InvalidClientTokenId, message);
            }
            AuthError::AccessDenied(granary_auth::AccessDeniedReason::NotSigned) => {
                Code::MissingAuthenticationToken
            }
            AuthError::SignatureDoesNotMatch | AuthError::RequestTimeTooSkewed => Code::SignatureDoesNotMatch,
            AuthError::ExpiredToken => Code::ExpiredToken,
            _ => Code::IncompleteSignature,
        };
        Self::new(code, error.to_string())
    }
}
