//! `aws-chunked` bodies: the framing taken off, chunk and trailer signatures checked.
//!
//! ```text
//! 10000;chunk-signature=<64 hex>\r\n   unsigned form: 10000\r\n
//! <65536 bytes>\r\n
//! 0;chunk-signature=<64 hex>\r\n
//! x-amz-checksum-crc32c:sOO8/Q==\r\n   only if announced in x-amz-trailer
//! x-amz-trailer-signature:<64 hex>\r\n only in the signed form
//! \r\n
//! ```
//!
//! The decoder does no I/O and holds no body bytes: it is given the body's buffers as they arrive, cut anywhere, and
//! hands out slices of them. A signed chunk's bytes are therefore handed out before its signature has been checked.
//! **The caller must not commit, acknowledge or act upon them before [`ChunkedDecoder::finish`] has returned `Ok`.**
//!
//! Sources: "Transferring Payload in Multiple Chunks" and "Including Trailing Headers" (Amazon S3 API Reference).

mod line;
mod trailers;

use bytes::Bytes;
use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::error::AuthError;
use crate::payload::{PayloadMode, TrailerPresence};
use crate::signing::{Signature, StreamingSignature};
use line::{ChunkHeader, LineBuffer};
use trailers::TrailerSection;

/// S3 refuses chunks below 8 KiB, the last one excepted.
pub const MIN_CHUNK_BYTES: u64 = 8 * 1024;
/// The longest signed chunk that is accepted: what a client may have us hash before it has proved anything.
pub const MAX_SIGNED_CHUNK_BYTES: u64 = 16 * 1024 * 1024;
/// The longest chunk header line.
pub const MAX_CHUNK_HEADER_BYTES: usize = 256;
/// The longest trailer section.
pub const MAX_TRAILER_BYTES: usize = 4 * 1024;
/// The most trailers, the signature not counted.
pub const MAX_TRAILERS: usize = 8;

/// Trailers of a finished body: lower-case names, trimmed values, in the order they came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trailers(pub Vec<(String, String)>);

impl Trailers {
    /// The value of the trailer `name` (lower case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    ChunkHeader,
    Data { left: u64 },
    DataEnd,
    Trailers,
    Done,
    Failed,
}

/// Decodes one body. See the module's documentation for what may be done with the bytes it hands out.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    line: LineBuffer,
    /// Bytes that the body still has to bring, by `x-amz-decoded-content-length`.
    left: u64,
    signing: Option<ChunkSigning>,
    /// A chunk below the minimum has been seen, so that only the last one may follow.
    short_chunk_seen: bool,
    trailers: TrailerSection,
}

#[derive(Debug)]
struct ChunkSigning {
    chain: StreamingSignature,
    hasher: Sha256,
    given: Option<Signature>,
}

impl ChunkedDecoder {
    /// A decoder for the body of a verified request, or `None` when the body is not aws-chunked.
    ///
    /// # Errors
    /// [`AuthError::MissingContentLength`] without `x-amz-decoded-content-length`, [`AuthError::InvalidRequest`]
    /// when that or `x-amz-trailer` makes no sense.
    pub fn for_request(payload: &PayloadMode, headers: &HeaderMap) -> Result<Option<Self>, AuthError> {
        let (chain, trailer) = match payload {
            PayloadMode::Signed(_) | PayloadMode::Unsigned => return Ok(None),
            PayloadMode::StreamingSigned { signature, trailer } => (Some((**signature).clone()), *trailer),
            PayloadMode::StreamingUnsignedTrailer => (None, TrailerPresence::Present),
        };
        let decoded_length_bytes = decoded_content_length(headers)?;
        let announced = match trailer {
            TrailerPresence::Absent => Vec::new(),
            TrailerPresence::Present => trailers::announced(headers)?,
        };
        Ok(Some(Self::new(chain, trailer, decoded_length_bytes, announced)))
    }

    /// A decoder for a body of `decoded_length_bytes`, signed if there is a `chain`, with exactly the `announced`
    /// trailers (lower-case names) at its end.
    pub fn new(
        chain: Option<StreamingSignature>,
        trailer: TrailerPresence,
        decoded_length_bytes: u64,
        announced: Vec<String>,
    ) -> Self {
        let signed = chain.is_some();
        Self {
            state: State::ChunkHeader,
            line: LineBuffer::default(),
            left: decoded_length_bytes,
            signing: chain.map(|chain| ChunkSigning { chain, hasher: Sha256::new(), given: None }),
            short_chunk_seen: false,
            trailers: TrailerSection::new(announced, signed && trailer == TrailerPresence::Present),
        }
    }

    /// Takes framing off the front of `input`; returns the next piece of the body, or `None` when `input` is used
    /// up. Call it until then, and again with the next buffer. A piece is a slice of `input` and never empty.
    ///
    /// # Errors
    /// Bad framing, sizes, signatures and trailers; after an error the decoder only fails.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, AuthError> {
        let result = self.step_until_data(input);
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    /// Whether everything up to the end of the body has been seen and is right.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Ends the body: `Ok` only if it was complete and every signature in it right.
    ///
    /// # Errors
    /// [`AuthError::IncompleteBody`] when the end has not been seen.
    pub fn finish(self) -> Result<Trailers, AuthError> {
        if self.state != State::Done {
            return Err(AuthError::IncompleteBody("the end of the aws-chunked body is missing."));
        }
        Ok(self.trailers.into_trailers())
    }

    fn step_until_data(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, AuthError> {
        while !input.is_empty() {
            match self.state {
                State::ChunkHeader => {
                    if let Some(line) = self.line.take(input, MAX_CHUNK_HEADER_BYTES)? {
                        let header = ChunkHeader::parse(&line)?;
                        self.begin_chunk(&header)?;
                    }
                }
                State::Data { left } => return self.take_data(left, input).map(Some),
                State::DataEnd => {
                    if let Some(line) = self.line.take(input, 0)? {
                        debug_assert!(line.is_empty(), "a line of at most 0 bytes is empty");
                        self.state = State::ChunkHeader;
                    }
                }
                State::Trailers => {
                    if let Some(line) = self.line.take(input, MAX_TRAILER_BYTES)? {
                        self.trailer_line(&line)?;
                    }
                }
                State::Done => {
                    return Err(AuthError::IncompleteBody("bytes follow the end of the aws-chunked body."));
                }
                State::Failed => {
                    return Err(AuthError::IncompleteBody("the aws-chunked body was refused before."));
                }
            }
        }
        Ok(None)
    }

    fn begin_chunk(&mut self, header: &ChunkHeader) -> Result<(), AuthError> {
        if let Some(signing) = &mut self.signing {
            let given = header.signature.ok_or(AuthError::SignatureDoesNotMatch)?;
            if header.size_bytes > MAX_SIGNED_CHUNK_BYTES {
                return Err(AuthError::InvalidChunkSize(
                    "Signed chunks must not be larger than 16777216 bytes.",
                ));
            }
            signing.given = Some(given);
        } else if header.signature.is_some() {
            return Err(AuthError::InvalidRequest(
                "A chunk of a STREAMING-UNSIGNED-PAYLOAD-TRAILER body must not be signed.".to_owned(),
            ));
        }
        if header.size_bytes == 0 {
            if self.left != 0 {
                return Err(AuthError::IncompleteBody(
                    "the body is shorter than x-amz-decoded-content-length.",
                ));
            }
            self.end_chunk()?;
            self.state = State::Trailers;
            return Ok(());
        }
        if self.short_chunk_seen {
            return Err(AuthError::InvalidChunkSize(
                "Only the last chunk is allowed to have a size less than 8192 bytes",
            ));
        }
        self.left = self
            .left
            .checked_sub(header.size_bytes)
            .ok_or(AuthError::IncompleteBody("the body is longer than x-amz-decoded-content-length."))?;
        self.short_chunk_seen = header.size_bytes < MIN_CHUNK_BYTES;
        self.state = State::Data { left: header.size_bytes };
        Ok(())
    }

    fn take_data(&mut self, left: u64, input: &mut Bytes) -> Result<Bytes, AuthError> {
        let available = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let data = input.split_to(available);
        if let Some(signing) = &mut self.signing {
            signing.hasher.update(&data);
        }
        let left = left.saturating_sub(u64::try_from(available).unwrap_or(u64::MAX));
        if left == 0 {
            self.end_chunk()?;
            self.state = State::DataEnd;
        } else {
            self.state = State::Data { left };
        }
        Ok(data)
    }

    /// Checks the chunk's signature against the chain.
    fn end_chunk(&mut self) -> Result<(), AuthError> {
        let Some(signing) = &mut self.signing else { return Ok(()) };
        let content: [u8; 32] = signing.hasher.finalize_reset().into();
        let expected = signing.chain.next_chunk(&content);
        if signing.given.take() != Some(expected) {
            return Err(AuthError::SignatureDoesNotMatch);
        }
        Ok(())
    }

    fn trailer_line(&mut self, line: &[u8]) -> Result<(), AuthError> {
        if !line.is_empty() {
            return self.trailers.push(line);
        }
        self.trailers.close(self.signing.as_ref().map(|signing| &signing.chain))?;
        self.state = State::Done;
        Ok(())
    }
}

fn decoded_content_length(headers: &HeaderMap) -> Result<u64, AuthError> {
    let mut values = headers.get_all("x-amz-decoded-content-length").iter();
    let value = values.next().ok_or(AuthError::MissingContentLength)?;
    let digits = value.to_str().ok().filter(|text| {
        (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && values.next().is_none()
    });
    digits.and_then(|text| text.parse().ok()).ok_or_else(|| {
        AuthError::InvalidRequest("The value of x-amz-decoded-content-length is not valid.".to_owned())
    })
}

#[cfg(test)]
#[path = "chunked_tests.rs"]
mod tests;
