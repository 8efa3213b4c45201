//! S3's checksums: their names, streaming computation, and the checksum of a multipart object.
//!
//! AWS keeps one checksum an object. It verifies what the client sends; a client that sends none gets CRC64NVME
//! of the whole object. Source:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>.

pub mod combine;
pub mod hasher;
pub mod names;
pub mod request;

pub use hasher::Hasher;
pub use request::{Expected, RequestedChecksum};
