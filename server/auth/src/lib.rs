//! Who sent this request, and is every byte of it what they signed?
//!
//! The crate verifies AWS Signature Version 4 as S3 speaks it. It knows the types of the `http` crate and no
//! web framework, does no I/O, and has no clock of its own.
//!
//! * [`Verifier`] checks one request head: the `Authorization` header or a presigned URL. What it returns,
//!   [`Verified`], names the [`Principal`] and says how the body is covered ([`PayloadMode`]).
//! * [`chunked::ChunkedDecoder`] takes the `aws-chunked` framing off a body and checks the chunk and trailer
//!   signatures on the way.
//! * [`policy`] reads policies and says what they say of a request.
//! * [`AuthError`] maps each failure to S3's own error code.
//!
//! Outside its scope, and answered `NotImplemented`: SigV4A (`AWS4-ECDSA-P256-SHA256`). Signature Version 2 is
//! answered as AWS does in regions that never had it, except where it signs the policy of a browser's form
//! ([`FormSignature`]), or where the operator lets it ([`Verifier::verify_v2`]).
//!
//! Sources: "Authenticating Requests (AWS Signature Version 4)" and its sub-pages in the Amazon S3 API Reference.

mod amz_date;
mod authorization;
mod canonical;
pub mod chunked;
mod credentials;
mod error;
mod explain;
mod form;
mod identity;
mod payload;
mod peer;
pub mod policy;
mod presigned;
mod query;
mod scope;
mod signature_v2;
mod signing;
mod verifier;

pub use credentials::{
    CredentialSource, Credentials, KeyUse, KnownKey, Principal, SecretKey, StaticCredentials, TokenError,
};
pub use error::{AccessDeniedReason, AuthError};
pub use explain::{ErrorFields, explain};
pub use form::FormSignature;
pub use identity::{Account, Directory, Identity, IdentityKind, RateLimit, Session};
pub use payload::{PayloadMode, PayloadSha256, TrailerPresence};
pub use peer::Peer;
pub use scope::Service;
pub use signature_v2::is_signed_v2;
pub use signing::{Signature, SigningKey, StreamingSignature};
pub use verifier::{AuthMethod, RegionPolicy, RequestHead, Verified, Verifier, request_host};
