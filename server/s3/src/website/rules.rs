//! A website's configuration: what it redirects, and which objects are its index and its errors.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-page-redirect.html>

use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::S3Result;
use crate::xml::read::{self, Element, Limits, malformed};

const ROOT: &str = "WebsiteConfiguration";
/// What was checked when it was put.
const STORED: Limits = Limits { length_bytes: 1024 * 1024, depth: 8, elements: 16_000 };
/// What a path leaves as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The configuration of a website.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Website {
    /// Where all requests go, if they do.
    pub(super) redirects_all: Option<Target>,
    /// The last component of keys that end with a slash.
    pub(super) index: String,
    /// The key of the page for errors.
    pub(super) error: Option<String>,
    rules: Vec<Rule>,
}

/// A host, and how to speak to it; what is not said is as in the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    host: Option<String>,
    protocol: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    prefix: String,
    /// The rule is for this error, and not for requests as they come.
    error: Option<u16>,
    target: Target,
    code: StatusCode,
    key: NewKey,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum NewKey {
    Same,
    Whole(String),
    Prefix(String),
}

/// What a request is redirected with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect {
    pub(super) code: StatusCode,
    pub(super) location: String,
}

impl Website {
    /// Reads the content of a configuration that was kept.
    ///
    /// # Errors
    /// `MalformedXML` for what could not have been kept.
    pub(super) fn of_stored(content: &[u8]) -> S3Result<Self> {
        let document = [b"<", ROOT.as_bytes(), b">", content, b"</", ROOT.as_bytes(), b">"].concat();
        let root = read::parse(&document, &STORED)?;
        let text = |group: &str, name: &str| root.child(group).and_then(|group| text_of(group, name));
        let rules = root.child("RoutingRules").map(|rules| rules.children.as_slice()).unwrap_or_default();
        Ok(Self {
            redirects_all: root.child("RedirectAllRequestsTo").map(Target::of_element),
            index: text("IndexDocument", "Suffix").unwrap_or_default(),
            error: text("ErrorDocument", "Key"),
            rules: rules.iter().map(Rule::of_element).collect::<S3Result<_>>()?,
        })
    }

    /// Where a request for `key` goes before the object is looked for, or because of the error `status`.
    pub(super) fn redirect(&self, key: &str, status: Option<StatusCode>, host: &str) -> Option<Redirect> {
        let code = status.map(|status| status.as_u16());
        let rule = self.rules.iter().find(|rule| rule.error == code && key.starts_with(&rule.prefix))?;
        let key = match &rule.key {
            NewKey::Same => key.to_owned(),
            NewKey::Whole(key) => key.clone(),
            NewKey::Prefix(prefix) => format!("{prefix}{}", key.strip_prefix(&rule.prefix).unwrap_or(key)),
        };
        Some(Redirect { code: rule.code, location: rule.target.location(host, &key) })
    }
}

impl Target {
    fn of_element(element: &Element) -> Self {
        Self { host: text_of(element, "HostName"), protocol: text_of(element, "Protocol") }
    }

    /// The address of `key` there; `own_host` is what the request is for.
    pub(super) fn location(&self, own_host: &str, key: &str) -> String {
        let path = utf8_percent_encode(key, PATH);
        match (&self.host, &self.protocol) {
            // The browser keeps to the host and the protocol it has.
            (None, None) => format!("/{path}"),
            (host, protocol) => {
                let protocol = protocol.as_deref().unwrap_or("http");
                format!("{protocol}://{}/{path}", host.as_deref().unwrap_or(own_host))
            }
        }
    }
}

impl Rule {
    fn of_element(rule: &Element) -> S3Result<Self> {
        let condition = |name: &str| rule.child("Condition").and_then(|condition| text_of(condition, name));
        let redirect = rule.child("Redirect").ok_or_else(malformed)?;
        let key = match (text_of(redirect, "ReplaceKeyWith"), text_of(redirect, "ReplaceKeyPrefixWith")) {
            (Some(key), _) => NewKey::Whole(key),
            (None, Some(prefix)) => NewKey::Prefix(prefix),
            (None, None) => NewKey::Same,
        };
        let code = match text_of(redirect, "HttpRedirectCode") {
            None => StatusCode::MOVED_PERMANENTLY,
            Some(code) => StatusCode::from_bytes(code.as_bytes()).map_err(|_| malformed())?,
        };
        let error = condition("HttpErrorCodeReturnedEquals");
        Ok(Self {
            prefix: condition("KeyPrefixEquals").unwrap_or_default(),
            error: error.map(|code| code.parse().map_err(|_| malformed())).transpose()?,
            target: Target::of_element(redirect),
            code,
            key,
        })
    }
}

fn text_of(element: &Element, name: &str) -> Option<String> {
    element.child(name).map(|child| child.text.clone())
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
