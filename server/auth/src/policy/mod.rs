//! The policy language.

use std::fmt;

/// A policy that was read and understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    text: String,
}

/// Why a policy is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError(String);

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DocumentError {}

impl Document {
    /// Reads a policy.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn parse(text: &[u8]) -> Result<Self, DocumentError> {
        let text = std::str::from_utf8(text).map_err(|error| DocumentError(error.to_string()))?;
        if text.trim_start().starts_with('{') {
            return Ok(Self { text: text.to_owned() });
        }
        Err(DocumentError("a policy is a JSON object".to_owned()))
    }

    /// The policy as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}
