//! Lines of the framing: ended by CR LF, bounded, gathered over any number of buffers.

use bytes::{Buf, Bytes};

use crate::error::AuthError;
use crate::signing::Signature;

const BAD_LINE_END: &str = "a line of the aws-chunked framing does not end with CR LF.";

/// A line that is not complete yet.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer(Vec<u8>);

impl LineBuffer {
    /// Takes from `input` up to the end of the line; returns the line without its CR LF once it is complete.
    ///
    /// # Errors
    /// `IncompleteBody` when the line is longer than `max_bytes`, or ends with a bare LF or holds a bare CR.
    pub(crate) fn take(&mut self, input: &mut Bytes, max_bytes: usize) -> Result<Option<Vec<u8>>, AuthError> {
        while let Some((&byte, _)) = input.split_first() {
            let after_cr = self.0.last() == Some(&b'\r');
            match (after_cr, byte) {
                (true, b'\n') => {
                    input.advance(1);
                    self.0.pop();
                    return Ok(Some(std::mem::take(&mut self.0)));
                }
                (true, _) | (false, b'\n') => return Err(AuthError::IncompleteBody(BAD_LINE_END)),
                (false, b'\r') => {}
                (false, _) if self.0.len() >= max_bytes => {
                    return Err(AuthError::IncompleteBody(if max_bytes == 0 {
                        "a chunk is longer than its header says."
                    } else {
                        "a line of the aws-chunked framing is too long."
                    }));
                }
                (false, _) => {}
            }
            self.0.push(byte);
            input.advance(1);
        }
        Ok(None)
    }
}

/// `hex-size` or `hex-size;chunk-signature=<64 hex>`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ChunkHeader {
    pub(crate) size_bytes: u64,
    pub(crate) signature: Option<Signature>,
}

impl ChunkHeader {
    /// Parses a chunk header line. Extensions other than `chunk-signature` are not part of aws-chunked.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, AuthError> {
        let malformed = || AuthError::IncompleteBody("a chunk header is malformed.");
        let text = std::str::from_utf8(line).map_err(|_| malformed())?;
        let (size, extension) = match text.split_once(';') {
            Some((size, extension)) => (size, Some(extension)),
            None => (text, None),
        };
        // `from_str_radix` alone would take a sign; 16 digits are all that a u64 can need.
        if !(1..=16).contains(&size.len()) || !size.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(malformed());
        }
        let size_bytes = u64::from_str_radix(size, 16).map_err(|_| malformed())?;
        let signature = match extension {
            None => None,
            Some(extension) => {
                let hex = extension.strip_prefix("chunk-signature=").ok_or_else(malformed)?;
                Some(Signature::from_hex(hex).ok_or(AuthError::SignatureDoesNotMatch)?)
            }
        };
        Ok(Self { size_bytes, signature })
    }
}
