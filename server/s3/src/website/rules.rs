//! A website's configuration: what it redirects, and which objects are its index and its errors.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-page-redirect.html>

use std::ops::RangeInclusive;

use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{S3Error, S3Result};
use crate::xml::read::{self, Element, Limits, malformed};

const ROOT: &str = "WebsiteConfiguration";
/// What was checked when it was put.
const STORED: Limits = Limits { length_bytes: 1024 * 1024, depth: 8, elements: 16_000 };
/// The most routing rules of a website.
const RULES_MAX: usize = 50;
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
    error: Option<StatusCode>,
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
    /// Reads the content of a configuration that was kept. Earlier builds kept rules that cannot be followed: they redirect nothing.
    ///
    /// # Errors
    /// `MalformedXML` for what is no configuration.
    pub(super) fn of_stored(content: &[u8]) -> S3Result<Self> {
        let document = [b"<", ROOT.as_bytes(), b">", content, b"</", ROOT.as_bytes(), b">"].concat();
        let root = read::parse(&document, &STORED)?;
        let redirects_all = root.child("RedirectAllRequestsTo");
        Ok(Self {
            redirects_all: redirects_all.and_then(|target| Target::of_element(target).ok()),
            index: text_in(&root, "IndexDocument", "Suffix").unwrap_or_default(),
            error: text_in(&root, "ErrorDocument", "Key").filter(|key| !key.is_empty()),
            rules: rules_of(&root).iter().filter_map(|rule| Rule::of_element(rule).ok()).collect(),
        })
    }

    /// Whether a configuration can be followed.
    ///
    /// # Errors
    /// As AWS refuses it: `InvalidArgument` for what does not go together or names no index, `InvalidRequest` for a rule that could
    /// not be followed, `MalformedXML` for what is empty.
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html>
    pub(super) fn check(root: &Element) -> S3Result<()> {
        let redirects_all = root.child("RedirectAllRequestsTo");
        if redirects_all.is_some() && root.children.len() > 1 {
            let message = "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.";
            return Err(S3Error::invalid_argument("RedirectAllRequestsTo", "not null", message));
        }
        match text_in(root, "IndexDocument", "Suffix") {
            Some(suffix) if !suffix.is_empty() && !suffix.contains('/') => {}
            None if redirects_all.is_some() => {}
            suffix => {
                let message = "The IndexDocument Suffix is not well formed";
                let suffix = suffix.unwrap_or_else(|| "null".to_owned());
                return Err(S3Error::invalid_argument("IndexDocument", suffix, message));
            }
        }
        if text_in(root, "ErrorDocument", "Key").is_some_and(|key| key.is_empty()) {
            return Err(malformed());
        }
        let rules = rules_of(root);
        if rules.len() > RULES_MAX {
            let message = "50 routing rules are the most a website configuration may have.";
            return Err(S3Error::invalid_request(message));
        }
        redirects_all.map(Target::of_element).transpose()?;
        rules.iter().try_for_each(|rule| Rule::of_element(rule).map(drop))
    }

    /// Where a request for `key` goes before the object is looked for, or because of the error `status`.
    pub(super) fn redirect(&self, key: &str, status: Option<StatusCode>, host: &str) -> Option<Redirect> {
        let rule = self.rules.iter().find(|rule| rule.error == status && key.starts_with(&rule.prefix))?;
        let key = match &rule.key {
            NewKey::Same => key.to_owned(),
            NewKey::Whole(key) => key.clone(),
            NewKey::Prefix(prefix) => format!("{prefix}{}", key.strip_prefix(&rule.prefix).unwrap_or(key)),
        };
        Some(Redirect { code: rule.code, location: rule.target.location(host, &key) })
    }
}

impl Target {
    fn of_element(element: &Element) -> S3Result<Self> {
        let host = text_of(element, "HostName");
        if host.as_ref().is_some_and(String::is_empty) {
            return Err(malformed());
        }
        // It is sent as a part of a header. Some name a path behind the host, which AWS takes.
        let is_of_an_address = |at: char| at.is_ascii_graphic() && at != '\\';
        if !host.iter().flat_map(|host| host.chars()).all(is_of_an_address) {
            return Err(S3Error::invalid_request("The HostName of a redirect is not valid."));
        }
        Ok(Self { host, protocol: text_of(element, "Protocol") })
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
        let condition = rule.child("Condition");
        if condition.is_some_and(|condition| condition.children.is_empty()) {
            return Err(S3Error::invalid_request(
                "Condition cannot be empty. To redirect all requests without a condition, the condition element \
                 shouldn't be present.",
            ));
        }
        let condition = |name: &str| condition.and_then(|condition| text_of(condition, name));
        let redirect = rule.child("Redirect").filter(|redirect| !redirect.children.is_empty());
        let redirect = redirect.ok_or_else(malformed)?;
        let key = match (text_of(redirect, "ReplaceKeyWith"), text_of(redirect, "ReplaceKeyPrefixWith")) {
            (Some(_), Some(_)) => {
                let message = "You can only define ReplaceKeyPrefix or ReplaceKey but not both.";
                return Err(S3Error::invalid_request(message));
            }
            (Some(key), None) => NewKey::Whole(key),
            (None, Some(prefix)) => NewKey::Prefix(prefix),
            (None, None) => NewKey::Same,
        };
        let code = match text_of(redirect, "HttpRedirectCode") {
            None => StatusCode::MOVED_PERMANENTLY,
            Some(code) => status_among(&code, 301..=399).ok_or_else(|| {
                S3Error::invalid_request(format!(
                    "The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except 300."
                ))
            })?,
        };
        let error = match condition("HttpErrorCodeReturnedEquals") {
            None => None,
            Some(code) => Some(status_among(&code, 400..=599).ok_or_else(|| {
                S3Error::invalid_request(format!(
                    "The provided HTTP error code ({code}) is not valid. Valid codes are 4XX or 5XX."
                ))
            })?),
        };
        let prefix = condition("KeyPrefixEquals").unwrap_or_default();
        Ok(Self { prefix, error, target: Target::of_element(redirect)?, code, key })
    }
}

fn status_among(code: &str, valid: RangeInclusive<u16>) -> Option<StatusCode> {
    let code = code.trim().parse().ok().filter(|code| valid.contains(code))?;
    StatusCode::from_u16(code).ok()
}

fn rules_of(root: &Element) -> &[Element] {
    root.child("RoutingRules").map(|rules| rules.children.as_slice()).unwrap_or_default()
}

fn text_in(root: &Element, group: &str, name: &str) -> Option<String> {
    root.child(group).and_then(|group| text_of(group, name))
}

fn text_of(element: &Element, name: &str) -> Option<String> {
    element.child(name).map(|child| child.text.clone())
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
