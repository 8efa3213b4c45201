//! The query string, split once and brought to its canonical form.
//!
//! Canonical means: names and values decoded, then percent-encoded with the unreserved set of RFC 3986, sorted by
//! name and then by value. A `+` is read as a blank, as S3 does. A parameter already in that form is borrowed.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::canonical::{PlusMeaning, SlashMeaning, canonical_component};

/// The parameters of one request, in canonical encoding and order.
#[derive(Debug, Default)]
pub(crate) struct CanonicalQuery<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// A name that may stand at most once was found this often.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Absent,
    Once(String),
    Repeated,
}

impl<'a> CanonicalQuery<'a> {
    pub(crate) fn parse(query: Option<&'a str>) -> Self {
        let mut pairs: Vec<_> = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (
                    canonical_component(name, SlashMeaning::Data, PlusMeaning::Blank),
                    canonical_component(value, SlashMeaning::Data, PlusMeaning::Blank),
                )
            })
            .collect();
        pairs.sort_unstable();
        Self { pairs }
    }

    /// The decoded value of `name`, which must consist of unreserved characters.
    pub(crate) fn get(&self, name: &str) -> Lookup {
        let mut found = self.pairs.iter().filter(|(n, _)| n == name);
        match (found.next(), found.next()) {
            (None, _) => Lookup::Absent,
            (Some((_, value)), None) => {
                Lookup::Once(String::from_utf8_lossy(&Cow::from(percent_decode_str(value))).into_owned())
            }
            (Some(_), Some(_)) => Lookup::Repeated,
        }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.pairs.iter().any(|(n, _)| n == name)
    }

    /// Appends the canonical query string, leaving out the parameter named `skip`.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>, skip: Option<&str>) {
        let mut first = true;
        for (name, value) in &self.pairs {
            if skip == Some(name) {
                continue;
            }
            if !first {
                out.push(b'&');
            }
            first = false;
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(value.as_bytes());
        }
    }
}
