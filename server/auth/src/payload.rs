//! `x-amz-content-sha256`: how a request's body is covered by its signature.

use std::fmt;

use crate::authorization::SIGV4A;
use crate::error::AuthError;
use crate::signing::StreamingSignature;

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const STREAMING_SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const STREAMING_SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const STREAMING_UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// The SHA-256 that the client signed for its body. The frontend must compare it with the body's before it
/// commits anything, and answer `XAmzContentSHA256Mismatch` when they differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PayloadSha256(pub [u8; 32]);

impl fmt::Debug for PayloadSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadSha256({})", hex::encode(self.0))
    }
}

/// Whether a streamed body announces trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailerPresence {
    /// The body ends with its last chunk.
    Absent,
    /// Trailers, signed ones, follow the last chunk.
    Present,
}

/// How the body is covered.
#[derive(Clone, Debug)]
pub enum PayloadMode {
    /// The whole body has this SHA-256.
    Signed(PayloadSha256),
    /// `UNSIGNED-PAYLOAD`: the body is not covered.
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` and `…-TRAILER`: aws-chunked, each chunk signed.
    StreamingSigned {
        /// The chain of chunk signatures, at its seed.
        signature: Box<StreamingSignature>,
        /// Whether signed trailers follow.
        trailer: TrailerPresence,
    },
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: aws-chunked, nothing signed, trailers follow.
    StreamingUnsignedTrailer,
}

/// The header's value, classified; a streamed body's chain is not known before the signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadKind {
    Signed(PayloadSha256),
    Unsigned,
    StreamingSigned(TrailerPresence),
    StreamingUnsignedTrailer,
}

impl PayloadKind {
    pub(crate) fn parse(value: &str) -> Result<Self, AuthError> {
        match value {
            UNSIGNED => Ok(Self::Unsigned),
            STREAMING_SIGNED => Ok(Self::StreamingSigned(TrailerPresence::Absent)),
            STREAMING_SIGNED_TRAILER => Ok(Self::StreamingSigned(TrailerPresence::Present)),
            STREAMING_UNSIGNED_TRAILER => Ok(Self::StreamingUnsignedTrailer),
            _ if value.starts_with("STREAMING-AWS4-ECDSA-P256-SHA256-") => {
                Err(AuthError::NotImplemented(SIGV4A))
            }
            _ => {
                let mut sha256 = [0; 32];
                let lower = !value.bytes().any(|b| b.is_ascii_uppercase());
                if lower && hex::decode_to_slice(value, &mut sha256).is_ok() {
                    return Ok(Self::Signed(PayloadSha256(sha256)));
                }
                Err(AuthError::InvalidArgument(format!(
                    "x-amz-content-sha256 must be {UNSIGNED}, {STREAMING_UNSIGNED_TRAILER}, {STREAMING_SIGNED}, \
                     {STREAMING_SIGNED_TRAILER} or a valid sha256 value."
                )))
            }
        }
    }
}
