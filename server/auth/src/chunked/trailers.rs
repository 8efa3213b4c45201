//! The trailers after the last chunk.

use http::HeaderMap;

use super::{MAX_TRAILER_BYTES, MAX_TRAILERS, Trailers};
use crate::error::AuthError;
use crate::signing::{Signature, StreamingSignature};

const SIGNATURE: &str = "x-amz-trailer-signature";
const CHECKSUM_PREFIX: &str = "x-amz-checksum-";

/// The names that `x-amz-trailer` announces, lower case. S3 takes checksums only.
pub(crate) fn announced(headers: &HeaderMap) -> Result<Vec<String>, AuthError> {
    let refuse = || {
        AuthError::InvalidRequest(
            "The value specified in the x-amz-trailer header is not supported".to_owned(),
        )
    };
    let mut names = Vec::new();
    for value in headers.get_all("x-amz-trailer") {
        for name in value.to_str().map_err(|_| refuse())?.split(',') {
            let name = name.trim().to_ascii_lowercase();
            if !name.starts_with(CHECKSUM_PREFIX) || names.len() == MAX_TRAILERS || names.contains(&name) {
                return Err(refuse());
            }
            names.push(name);
        }
    }
    Ok(names)
}

/// Gathers the trailers, and checks them against what was announced and signed.
#[derive(Debug)]
pub(crate) struct TrailerSection {
    announced: Vec<String>,
    is_signed: bool,
    received: Vec<(String, String)>,
    signature: Option<Signature>,
    length_bytes: usize,
}

impl TrailerSection {
    pub(crate) fn new(announced: Vec<String>, is_signed: bool) -> Self {
        Self { announced, is_signed, received: Vec::new(), signature: None, length_bytes: 0 }
    }

    /// Takes one line that is not empty.
    pub(crate) fn push(&mut self, line: &[u8]) -> Result<(), AuthError> {
        self.length_bytes = self.length_bytes.saturating_add(line.len());
        if self.length_bytes > MAX_TRAILER_BYTES {
            return Err(malformed("the trailers are too long."));
        }
        let text = std::str::from_utf8(line).ok().filter(|text| !text.chars().any(char::is_control));
        let (name, value) = text
            .and_then(|text| text.split_once(':'))
            .ok_or_else(|| malformed("a trailer is not of the form name:value."))?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        if self.signature.is_some() {
            return Err(malformed("a trailer follows x-amz-trailer-signature."));
        }
        if self.is_signed && name == SIGNATURE {
            self.signature = Some(Signature::from_hex(value).ok_or(AuthError::SignatureDoesNotMatch)?);
            return Ok(());
        }
        if !self.announced.contains(&name) {
            return Err(malformed("a trailer is not announced in x-amz-trailer."));
        }
        if self.received.iter().any(|(received, _)| *received == name) {
            return Err(malformed("a trailer is repeated."));
        }
        self.received.push((name, value.to_owned()));
        Ok(())
    }

    /// Ends the section. `chain` is the chain of chunk signatures at its end, for a signed body.
    pub(crate) fn close(&self, chain: Option<&StreamingSignature>) -> Result<(), AuthError> {
        if self.received.len() != self.announced.len() {
            return Err(malformed("a trailer that x-amz-trailer announces is missing."));
        }
        let (true, Some(chain)) = (self.is_signed, chain) else { return Ok(()) };
        let given = self.signature.ok_or_else(|| malformed("x-amz-trailer-signature is missing."))?;
        let mut sorted: Vec<_> = self.received.iter().collect();
        sorted.sort_unstable();
        let canonical: String = sorted.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        if chain.trailer(canonical.as_bytes()) != given {
            return Err(AuthError::SignatureDoesNotMatch);
        }
        Ok(())
    }

    pub(crate) fn into_trailers(self) -> Trailers {
        Trailers(self.received)
    }
}

fn malformed(reason: &str) -> AuthError {
    AuthError::MalformedTrailer(reason.to_owned())
}
