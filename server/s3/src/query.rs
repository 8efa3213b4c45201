//! The query of a request, decoded.

use std::borrow::Cow;

use crate::encoding::decode_query;
use crate::error::{ErrorCode, S3Error, S3Result};

/// The most parameters a query may have; no operation takes nearly as many.
const PARAMETERS_MAX: usize = 128;

/// The decoded parameters in the order sent. Parameters that no operation knows are ignored, as AWS does.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Splits and decodes `query`. A parameter without `=` has an empty value.
    ///
    /// # Errors
    /// `InvalidURI` when it does not decode to UTF-8 or has too many parameters.
    pub fn parse(query: Option<&'a str>) -> S3Result<Self> {
        let mut pairs = Vec::new();
        for parameter in query.unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (Some(name), Some(value)) = (decode_query(name), decode_query(value)) else {
                return Err(S3Error::new(ErrorCode::InvalidURI).field("URI", parameter));
            };
            if pairs.len() >= PARAMETERS_MAX {
                return Err(S3Error::new(ErrorCode::InvalidURI));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Whether there is no parameter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of the first parameter of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_ref())
    }

    /// As [`Self::get`], with an empty value taken as absent.
    #[must_use]
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// All parameters.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
