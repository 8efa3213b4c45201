//! The failures of authentication, each with the S3 error code and a message close to the one AWS sends.
//!
//! Source: "Error responses" in the Amazon S3 API Reference; the messages are those its endpoints send.

/// Why S3 says `AccessDenied` before any policy has been looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessDeniedReason {
    /// Headers that must be signed were sent but are not in `SignedHeaders`; the names, comma separated.
    #[error("There were headers present in the request which were not signed: {0}")]
    HeadersNotSigned(String),
    /// A request that must be signed is not.
    #[error("Request is missing Authentication Token")]
    NotSigned,
    /// A URL that is presigned with version 2 lacks what that needs, or its time of expiry is none.
    #[error(
        "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters, each once, and Expires \
         in seconds since the epoch"
    )]
    IncompleteV2,
    /// Neither `x-amz-date` nor `Date` holds a usable time.
    #[error("AWS authentication requires a valid Date or x-amz-date header")]
    MissingDate,
    /// The presigned URL's time is over.
    #[error("Request has expired")]
    Expired,
    /// The presigned URL's date lies in the future by more than the allowed skew.
    #[error("Request is not yet valid")]
    NotYetValid,
}

/// Why a request, or a signed body, was not accepted.
///
/// `Display` is the `<Message>` of the S3 error document; it never contains a secret or a computed signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Code `AccessDenied`, status 403.
    #[error("{0}")]
    AccessDenied(AccessDeniedReason),
    /// Code `InvalidAccessKeyId`, status 403.
    #[error("The AWS Access Key Id you provided does not exist in our records.")]
    InvalidAccessKeyId,
    /// Code `SignatureDoesNotMatch`, status 403.
    #[error(
        "The request signature we calculated does not match the signature you provided. \
         Check your key and signing method."
    )]
    SignatureDoesNotMatch,
    /// Code `RequestTimeTooSkewed`, status 403: more than 15 minutes between the client's clock and ours.
    #[error("The difference between the request time and the current time is too large.")]
    RequestTimeTooSkewed,
    /// Code `InvalidToken`, status 400: a session token that was not issued here, or not for that access key.
    #[error("The provided token is malformed or otherwise invalid.")]
    InvalidToken,
    /// Code `ExpiredToken`, status 400: temporary credentials whose time is over.
    #[error("The provided token has expired.")]
    ExpiredToken,
    /// Code `AuthorizationHeaderMalformed`, status 400.
    #[error("The authorization header is malformed; {reason}")]
    AuthorizationHeaderMalformed {
        /// What is wrong with it.
        reason: String,
        /// The region the client should sign for, for the `<Region>` element.
        region: Option<String>,
    },
    /// Code `AuthorizationQueryParametersError`, status 400.
    #[error("{0}")]
    AuthorizationQueryParametersError(String),
    /// Code `InvalidArgument`, status 400.
    #[error("{0}")]
    InvalidArgument(String),
    /// Code `InvalidRequest`, status 400.
    #[error("{0}")]
    InvalidRequest(String),
    /// Code `NotImplemented`, status 501.
    #[error("A header you provided implies functionality that is not implemented: {0}")]
    NotImplemented(&'static str),
    /// Code `MissingContentLength`, status 411: an aws-chunked body without `x-amz-decoded-content-length`.
    #[error("You must provide the Content-Length HTTP header.")]
    MissingContentLength,
    /// Code `IncompleteBody`, status 400: the body ended early, is longer than declared, or is not framed as
    /// aws-chunked demands. The text says which.
    #[error("The request body terminated unexpectedly: {0}")]
    IncompleteBody(&'static str),
    /// Code `InvalidChunkSizeError`, status 400.
    #[error("{0}")]
    InvalidChunkSize(&'static str),
    /// Code `MalformedTrailerError`, status 400.
    #[error(
        "The request contained trailing data that was not well-formed or did not conform to our published schema: {0}"
    )]
    MalformedTrailer(String),
}

impl AuthError {
    /// The S3 error code, as it stands in `<Code>`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AccessDenied(_) => "AccessDenied",
            Self::InvalidAccessKeyId => "InvalidAccessKeyId",
            Self::SignatureDoesNotMatch => "SignatureDoesNotMatch",
            Self::RequestTimeTooSkewed => "RequestTimeTooSkewed",
            Self::InvalidToken => "InvalidToken",
            Self::ExpiredToken => "ExpiredToken",
            Self::AuthorizationHeaderMalformed { .. } => "AuthorizationHeaderMalformed",
            Self::AuthorizationQueryParametersError(_) => "AuthorizationQueryParametersError",
            Self::InvalidArgument(_) => "InvalidArgument",
            Self::InvalidRequest(_) => "InvalidRequest",
            Self::NotImplemented(_) => "NotImplemented",
            Self::MissingContentLength => "MissingContentLength",
            Self::IncompleteBody(_) => "IncompleteBody",
            Self::InvalidChunkSize(_) => "InvalidChunkSizeError",
            Self::MalformedTrailer(_) => "MalformedTrailerError",
        }
    }

    /// The HTTP status that goes with [`AuthError::code`].
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::AccessDenied(_)
            | Self::InvalidAccessKeyId
            | Self::SignatureDoesNotMatch
            | Self::RequestTimeTooSkewed => http::StatusCode::FORBIDDEN,
            Self::NotImplemented(_) => http::StatusCode::NOT_IMPLEMENTED,
            Self::MissingContentLength => http::StatusCode::LENGTH_REQUIRED,
            _ => http::StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::AuthorizationHeaderMalformed { reason: reason.into(), region: None }
    }
}
