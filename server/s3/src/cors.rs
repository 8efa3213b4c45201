//! Cross-origin requests: a bucket's rules, the answer to a browser's preflight, and the headers of other answers.
//!
//! The first rule counts that allows the origin, the method and all the headers. Sources:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html>

use granary_types::BucketName;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::respond::{self, S3Response};
use crate::state::Shared;
use crate::xml::read::{self, Element, Limits, malformed};

/// The name of the configuration.
pub(crate) const DOCUMENT: &str = "cors/";
/// Its root element.
pub(crate) const ROOT: &str = "CORSConfiguration";

const RULES_MAX: usize = 100;
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];
/// What was checked when it was put.
const STORED: Limits = Limits { length_bytes: 1024 * 1024, depth: 8, elements: 16_000 };
const VARY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Headers, Access-Control-Request-Method");

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    origins: Vec<String>,
    methods: Vec<String>,
    headers: Vec<String>,
    exposed: Vec<String>,
    max_age_s: Option<u32>,
}

/// The rules of a bucket in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules(Vec<Rule>);

/// What a browser asks for.
struct Asked<'a> {
    origin: &'a str,
    method: &'a str,
    /// In lower case.
    headers: Vec<String>,
}

impl Rules {
    /// Reads the rules of a document that follows the schema.
    ///
    /// # Errors
    /// `InvalidRequest` for what AWS does not take either, `MalformedXML`.
    pub(crate) fn of_element(root: &Element) -> S3Result<Self> {
        if root.children.is_empty() {
            return Err(malformed());
        }
        if root.children.len() > RULES_MAX {
            return Err(S3Error::invalid_request(format!(
                "The number of CORS rules should not exceed allowed limit of {RULES_MAX} rules."
            )));
        }
        Ok(Self(root.children.iter().map(Rule::of_element).collect::<S3Result<_>>()?))
    }

    fn of_stored(content: &[u8]) -> S3Result<Self> {
        let mut document = format!("<{ROOT}>").into_bytes();
        document.extend_from_slice(content);
        document.extend_from_slice(format!("</{ROOT}>").as_bytes());
        Self::of_element(&read::parse(&document, &STORED)?)
    }

    fn matching(&self, asked: &Asked<'_>) -> Option<(&Rule, &str)> {
        self.0.iter().find_map(|rule| rule.allows(asked).map(|pattern| (rule, pattern)))
    }
}

impl Rule {
    fn of_element(rule: &Element) -> S3Result<Self> {
        let texts = |name: &str| -> Vec<String> {
            let named = rule.children.iter().filter(|child| child.name == name);
            named.map(|child| child.text.trim().to_owned()).collect()
        };
        let max_age_s =
            rule.child("MaxAgeSeconds").map(|age| age.text.trim().parse().map_err(|_| malformed()));
        let rule = Self {
            origins: texts("AllowedOrigin"),
            methods: texts("AllowedMethod"),
            headers: texts("AllowedHeader"),
            exposed: texts("ExposeHeader"),
            max_age_s: max_age_s.transpose()?,
        }
        .checked()?;
        Ok(rule)
    }

    fn checked(self) -> S3Result<Self> {
        if let Some(method) = self.methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
            return Err(S3Error::invalid_request(format!(
                "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            )));
        }
        for (name, patterns) in [("AllowedOrigin", &self.origins), ("AllowedHeader", &self.headers)] {
            if let Some(pattern) = patterns.iter().find(|pattern| pattern.matches('*').count() > 1) {
                return Err(S3Error::invalid_request(format!(
                    "{name} \"{pattern}\" can not have more than one wildcard."
                )));
            }
        }
        if let Some(exposed) = self.exposed.iter().find(|exposed| exposed.contains('*')) {
            return Err(S3Error::invalid_request(format!(
                "ExposeHeader \"{exposed}\" contains wildcard. We currently do not support wildcard for ExposeHeader."
            )));
        }
        Ok(self)
    }

    /// The pattern that takes the origin, if the rule allows what is asked.
    fn allows(&self, asked: &Asked<'_>) -> Option<&str> {
        let origin = self.origins.iter().find(|pattern| matches(pattern, asked.origin))?;
        let header_allowed = |header: &String| {
            self.headers.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), header))
        };
        let allowed = self.methods.iter().any(|method| method == asked.method)
            && asked.headers.iter().all(header_allowed);
        allowed.then_some(origin.as_str())
    }

    fn describe(&self, pattern: &str, asked: &Asked<'_>, headers: &mut HeaderMap) {
        let any = pattern == "*";
        let origin = if any { "*" } else { asked.origin };
        respond::set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        respond::set(headers, header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.join(", "));
        if !any {
            respond::set(headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        if !asked.headers.is_empty() {
            respond::set(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, asked.headers.join(", "));
        }
        if !self.exposed.is_empty() {
            respond::set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed.join(", "));
        }
        if let Some(age) = self.max_age_s {
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age));
        }
        headers.insert(header::VARY, VARY);
    }
}

/// Whether `text` fits a pattern with at most one `*`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((begin, end)) => {
            text.len() >= begin.len() + end.len() && text.starts_with(begin) && text.ends_with(end)
        }
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|text| !text.is_empty())
}

async fn rules(shared: &Shared, bucket: &BucketName) -> S3Result<Option<Rules>> {
    let stored = shared.engine.bucket_document(bucket, DOCUMENT).await?;
    stored.map(|stored| Rules::of_stored(&stored)).transpose()
}

/// Answers `OPTIONS`, which browsers send unsigned before a request that needs permission.
///
/// # Errors
/// `BadRequest` when it does not say what it asks for, `AccessForbidden` when no rule allows it, `NoSuchBucket`.
pub(crate) async fn preflight(shared: &Shared, parts: &Parts, bucket: &BucketName) -> S3Result<S3Response> {
    let insufficient = |what: &str| {
        let message = format!("Insufficient information. {what}");
        S3Error::with_message(ErrorCode::BadRequest, message)
    };
    let headers = &parts.headers;
    let origin = header_text(headers, &header::ORIGIN);
    let origin = origin.ok_or_else(|| insufficient("Origin request header needed."))?;
    let method = header_text(headers, &header::ACCESS_CONTROL_REQUEST_METHOD).unwrap_or_default();
    if !METHODS.contains(&method) {
        return Err(S3Error::with_message(
            ErrorCode::BadRequest,
            format!("Invalid Access-Control-Request-Method: {method}"),
        ));
    }
    let asked = Asked { origin, method, headers: requested_headers(headers) };
    let Some(rules) = rules(shared, bucket).await? else {
        return Err(ErrorCode::AccessForbidden.into());
    };
    let Some((rule, pattern)) = rules.matching(&asked) else {
        return Err(S3Error::with_message(
            ErrorCode::AccessForbidden,
            "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request \
             method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the \
             resource's CORS spec.",
        ));
    };
    let mut response = respond::empty(StatusCode::OK);
    rule.describe(pattern, &asked, response.headers_mut());
    Ok(response)
}

fn requested_headers(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names = all.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    names.map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect()
}

/// Tells a browser whether its page may see the answer, also if that is an error.
pub(crate) async fn add_to(shared: &Shared, parts: &Parts, bucket: &BucketName, response: &mut S3Response) {
    let headers = &parts.headers;
    let Some(origin) = header_text(headers, &header::ORIGIN) else { return };
    let method =
        header_text(headers, &header::ACCESS_CONTROL_REQUEST_METHOD).unwrap_or(parts.method.as_str());
    let rules = match rules(shared, bucket).await {
        Ok(Some(rules)) => rules,
        Ok(None) => return,
        Err(error) => {
            tracing::debug!(%error, bucket = bucket.as_str(), "the CORS rules could not be read");
            return;
        }
    };
    let asked = Asked { origin, method, headers: Vec::new() };
    match rules.matching(&asked) {
        Some((rule, pattern)) => rule.describe(pattern, &asked, response.headers_mut()),
        None => {
            response.headers_mut().insert(header::VARY, VARY);
        }
    }
}

#[cfg(test)]
#[path = "cors_tests.rs"]
mod tests;
