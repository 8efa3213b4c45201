//! The fields of a form and what they ask for.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html>

use granary_auth::FormSignature;
use granary_types::BucketName;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::parser::{Field, malformed};
use crate::error::{S3Error, S3Result};
use crate::tags;

const IGNORED_PREFIX: &str = "x-ignore-";
/// What the client's file name stands for in a key.
const FILE_NAME: &str = "${filename}";
/// The fields that are headers of PutObject.
const HEADERS: [&str; 10] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
    "x-amz-storage-class",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-website-redirect-location",
];
/// And the beginnings of others.
const HEADER_PREFIXES: [&str; 4] =
    ["x-amz-meta-", "x-amz-checksum-", "x-amz-object-lock-", "x-amz-server-side-encryption"];

/// The fields of a form before its file, with names in lower case, and the bucket it was sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

/// How a form is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureVersion {
    /// Signature Version 4.
    V4,
    /// Signature Version 2.
    V2,
}

impl SignatureVersion {
    /// Whether the policy need not speak of a field of that name.
    #[must_use]
    pub fn leaves_out(self, name: &str) -> bool {
        let signs = match self {
            Self::V4 => name == "x-amz-signature",
            Self::V2 => matches!(name, "awsaccesskeyid" | "signature"),
        };
        signs || matches!(name, "policy" | "file") || name.starts_with(IGNORED_PREFIX)
    }
}

impl Fields {
    /// The fields of a form that was sent to `bucket`.
    ///
    /// # Errors
    /// `MalformedPOSTRequest` when one is given twice: which of them counts is not for a guess.
    pub fn new(sent: Vec<Field>, bucket: &BucketName) -> S3Result<Self> {
        let mut fields = Self(Vec::with_capacity(sent.len() + 1));
        for Field { name, value } in sent {
            let name = name.to_ascii_lowercase();
            if name.starts_with(IGNORED_PREFIX) {
                continue;
            }
            if fields.get(&name).is_some() {
                return Err(malformed());
            }
            fields.0.push((name, value));
        }
        fields.0.retain(|(name, _)| name != "bucket");
        fields.0.push(("bucket".to_owned(), bucket.as_str().to_owned()));
        Ok(fields)
    }

    /// The value of the field of that name, which must be in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn required(&self, name: &'static str) -> S3Result<&str> {
        self.get(&name.to_ascii_lowercase()).ok_or_else(|| missing(name))
    }

    /// Puts the client's name of the file where the key refers to it. Of a path, the last component counts.
    ///
    /// # Errors
    /// `InvalidArgument` when there is no key.
    pub fn name_file(&mut self, file_name: &str) -> S3Result<()> {
        let file_name = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
        let key = self.0.iter_mut().find(|(name, _)| name == "key").ok_or_else(|| missing("key"))?;
        key.1 = key.1.replace(FILE_NAME, file_name);
        Ok(())
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        self.get("key").unwrap_or_default()
    }

    /// The policy and how it is signed; `None` if the form carries neither.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the field that is missing.
    pub fn signed_policy(&self) -> S3Result<Option<(&str, FormSignature<'_>, SignatureVersion)>> {
        const V4: [&str; 4] = ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"];
        let has = |names: &[&str]| names.iter().any(|name| self.get(name).is_some());
        let Some(policy) = self.get("policy") else {
            let claims = has(&V4) || has(&["awsaccesskeyid", "signature"]);
            return if claims { Err(missing("policy")) } else { Ok(None) };
        };
        if has(&V4) {
            let signature = FormSignature::V4 {
                algorithm: self.required("X-Amz-Algorithm")?,
                credential: self.required("X-Amz-Credential")?,
                date: self.required("X-Amz-Date")?,
                signature: self.required("X-Amz-Signature")?,
            };
            return Ok(Some((policy, signature, SignatureVersion::V4)));
        }
        let access_key = self.required("AWSAccessKeyId")?;
        let signature = FormSignature::V2 { access_key, signature: self.required("Signature")? };
        Ok(Some((policy, signature, SignatureVersion::V2)))
    }

    /// The headers that a PutObject of the same would have.
    ///
    /// # Errors
    /// `InvalidArgument` for a value that no header can hold, and the errors of [`tags::of_document`].
    pub fn to_headers(&self) -> S3Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0 {
            let (name, value) = match name.as_str() {
                "acl" => ("x-amz-acl", value.clone()),
                "tagging" => ("x-amz-tagging", tagging_header(value)?),
                name if HEADERS.contains(&name) => (name, value.clone()),
                name if HEADER_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => {
                    (name, value.clone())
                }
                _ => continue,
            };
            let refused = || {
                let message = "A field of the form cannot be the header of an object.";
                S3Error::invalid_argument("POST", name, message)
            };
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|error| refused().because(error))?;
            let value =
                HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|error| refused().because(error))?;
            headers.insert(header, value);
        }
        Ok(headers)
    }
}

/// A `Tagging` document as PutObject's header has it.
fn tagging_header(document: &str) -> S3Result<String> {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let tags = tags::of_document(document.as_bytes(), tags::OBJECT_TAGS_MAX)?;
    let pairs: Vec<String> =
        tags.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    Ok(pairs.join("&"))
}

fn missing(name: &'static str) -> S3Error {
    let message = format!(
        "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
    );
    S3Error::invalid_argument(name, "", message)
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
