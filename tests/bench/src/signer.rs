//! AWS Signature Version 4, written plainly from its documentation and apart from the server's own
//! code, so that the two check each other.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

/// The payload hash that says the payload is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// SHA-256 of nothing.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const UNRESERVED_KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH_KEPT: AsciiSet = UNRESERVED_KEPT.remove(b'/');

/// An access key with its secret, and the region signatures are scoped to.
#[derive(Clone)]
pub struct Signer {
    /// The access key's id.
    pub access_key: String,
    /// The secret; never printed.
    pub secret_key: String,
    /// For example `us-east-1`.
    pub region: String,
}

/// A request about to be signed. Paths and query values are given unencoded.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// `/bucket/key`, not yet percent-encoded.
    pub path: String,
    /// Query parameters, not yet percent-encoded.
    pub query: Vec<(String, String)>,
    /// Headers to send, names in lower case, with `host`.
    pub headers: BTreeMap<String, String>,
}

impl Request {
    /// A request with its `host` header.
    pub fn new(method: &str, host: &str, path: &str) -> Self {
        let headers = BTreeMap::from([("host".to_owned(), host.to_owned())]);
        Self { method: method.to_owned(), path: path.to_owned(), query: Vec::new(), headers }
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_ascii_lowercase(), value.to_owned());
        self
    }

    /// The request target as it goes on the wire.
    pub fn target(&self) -> String {
        let path = encode_path(&self.path);
        if self.query.is_empty() { path } else { format!("{path}?{}", self.canonical_query()) }
    }

    fn canonical_query(&self) -> String {
        let mut pairs: Vec<(String, String)> =
            self.query.iter().map(|(name, value)| (encode(name), encode(value))).collect();
        pairs.sort();
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    fn signed_headers(&self) -> String {
        self.headers.keys().cloned().collect::<Vec<_>>().join(";")
    }

    fn canonical(&self, payload_hash: &str) -> String {
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        [
            self.method.as_str(),
            &encode_path(&self.path),
            &self.canonical_query(),
            &headers,
            &self.signed_headers(),
            payload_hash,
        ]
        .join("\n")
    }
}

impl Signer {
    /// Signs with an `Authorization` header over every header present; returns the signature, which
    /// seeds the chunk signatures of a streaming payload.
    pub fn sign(&self, request: &mut Request, payload_hash: &str, at: OffsetDateTime) -> String {
        request.headers.insert("x-amz-date".to_owned(), amz_date(at));
        request.headers.insert("x-amz-content-sha256".to_owned(), payload_hash.to_owned());
        let signature = self.signature(&request.canonical(payload_hash), at);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={signature}",
            self.access_key,
            self.scope(at),
            request.signed_headers(),
        );
        request.headers.insert("authorization".to_owned(), authorization);
        signature
    }

    /// Signs by query parameters, for `expires_s` seconds.
    pub fn presign(&self, request: &mut Request, expires_s: u64, at: OffsetDateTime) {
        let credential = format!("{}/{}", self.access_key, self.scope(at));
        let fields = [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", credential),
            ("X-Amz-Date", amz_date(at)),
            ("X-Amz-Expires", expires_s.to_string()),
            ("X-Amz-SignedHeaders", request.signed_headers()),
        ];
        request.query.extend(fields.map(|(name, value)| (name.to_owned(), value)));
        let signature = self.signature(&request.canonical(UNSIGNED_PAYLOAD), at);
        request.query.push(("X-Amz-Signature".to_owned(), signature));
    }

    /// The signature of one chunk of `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`.
    pub fn chunk_signature(&self, previous: &str, chunk: &[u8], at: OffsetDateTime) -> String {
        let hashes = [EMPTY_SHA256, &hex::encode(Sha256::digest(chunk))];
        self.chained_signature("AWS4-HMAC-SHA256-PAYLOAD", previous, &hashes, at)
    }

    /// The signature of the trailers of `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`: `name:value` and a line feed each.
    pub fn trailer_signature(&self, previous: &str, trailers: &str, at: OffsetDateTime) -> String {
        let hash = hex::encode(Sha256::digest(trailers));
        self.chained_signature("AWS4-HMAC-SHA256-TRAILER", previous, &[&hash], at)
    }

    fn chained_signature(&self, what: &str, previous: &str, hashes: &[&str], at: OffsetDateTime) -> String {
        let (date, scope) = (amz_date(at), self.scope(at));
        let to_sign = [[what, &date, &scope, previous].as_slice(), hashes].concat().join("\n");
        hex::encode(hmac(&self.signing_key(at), to_sign.as_bytes()))
    }

    fn signature(&self, canonical: &str, at: OffsetDateTime) -> String {
        let to_sign = [
            "AWS4-HMAC-SHA256",
            &amz_date(at),
            &self.scope(at),
            &hex::encode(Sha256::digest(canonical.as_bytes())),
        ]
        .join("\n");
        hex::encode(hmac(&self.signing_key(at), to_sign.as_bytes()))
    }

    fn scope(&self, at: OffsetDateTime) -> String {
        format!("{}/{}/s3/aws4_request", date(at), self.region)
    }

    fn signing_key(&self, at: OffsetDateTime) -> Vec<u8> {
        let secret = format!("AWS4{}", self.secret_key);
        let day = hmac(secret.as_bytes(), date(at).as_bytes());
        let region = hmac(&day, self.region.as_bytes());
        let service = hmac(&region, b"s3");
        hmac(&service, b"aws4_request")
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length");
    };
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, &UNRESERVED_KEPT).to_string()
}

fn encode_path(path: &str) -> String {
    utf8_percent_encode(path, &PATH_KEPT).to_string()
}

fn amz_date(at: OffsetDateTime) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    at.format(&format).unwrap_or_default()
}

fn date(at: OffsetDateTime) -> String {
    amz_date(at).chars().take(8).collect()
}

#[cfg(test)]
#[path = "signer_tests.rs"]
mod tests;
