//! One line of an access log.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html>

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use granary_auth::{AuthMethod, Peer, Principal};
use granary_types::{ObjectKey, UnixMillis};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::access::rules::Rules;
use crate::context::Context;
use crate::dialect::Dialect;
use crate::operation::{Operation, Scope, Selector};
use crate::request_id::RequestId;
use crate::state::Shared;
use crate::xml::requests::DeleteTarget;

/// The longest text of a client's that a line quotes: it is cut behind it.
const QUOTED_CHARS_MAX: usize = 2_048;

/// Parameters whose values are as good as a key.
const SECRET_PARAMETERS: [&str; 3] = ["X-Amz-Signature", "X-Amz-Security-Token", "Signature"];

/// What is learnt of a request on its way; among the extensions of its head.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    /// The rules of its bucket, if that has logging.
    pub(crate) rules: OnceLock<Arc<Rules>>,
    /// Who signed it.
    pub(crate) verified: OnceLock<(String, AuthMethod)>,
    /// The key it is about.
    pub(crate) key: OnceLock<String>,
    /// Set when nothing but an access control list allows it.
    pub(crate) needs_list: OnceLock<()>,
    /// What it copies, if that is in a bucket that has logging.
    pub(crate) source: OnceLock<Source>,
    /// The keys and versions that it deleted, if each has a line.
    deleted: OnceLock<Vec<(String, Option<String>)>>,
}

/// What a request copies.
#[derive(Debug)]
pub(crate) struct Source {
    rules: Arc<Rules>,
    key: String,
    version: Option<String>,
}

/// The trail of a request about a bucket, if that has logging.
fn trail_of<'a>(context: &Context<'a>, rules: &Rules) -> Option<&'a Trail> {
    let trail = context.parts.extensions.get::<Arc<Trail>>().filter(|_| rules.logging.is_some())?;
    let who = match &context.verified.principal {
        Principal::Anonymous => "-".to_owned(),
        Principal::Root { access_key } => access_key.to_string(),
        Principal::User(identity) => identity.arn.clone(),
    };
    let _first = trail.verified.set((who, context.verified.method));
    Some(trail)
}

/// Remembers whose request it is about what, if its bucket has logging.
pub(crate) fn saw(context: &Context<'_>, rules: &Arc<Rules>, key: Option<&ObjectKey>) {
    let Some(trail) = trail_of(context, rules) else { return };
    let _first = trail.rules.set(Arc::clone(rules));
    if let Some(key) = key {
        let _first = trail.key.set(key.as_str().to_owned());
    }
}

/// Remembers what a request copies, if that is in a bucket that has logging.
pub(crate) fn saw_source(
    context: &Context<'_>,
    rules: &Arc<Rules>,
    (key, version): (&ObjectKey, Option<&str>),
) {
    let Some(trail) = trail_of(context, rules) else { return };
    let (key, version) = (key.as_str().to_owned(), version.map(str::to_owned));
    let _first = trail.source.set(Source { rules: Arc::clone(rules), key, version });
}

/// Remembers what a request for several keys deleted, if each has a line.
pub(crate) fn saw_deleted<'a>(context: &Context<'_>, targets: impl Iterator<Item = &'a DeleteTarget>) {
    let trail = context.parts.extensions.get::<Arc<Trail>>();
    if let Some(trail) = trail.filter(|trail| trail.rules.get().is_some())
        && context.shared.config.dialect.logs_each_key()
    {
        let deleted = targets.map(|target| (target.key.clone(), target.version_id.clone())).collect();
        let _first = trail.deleted.set(deleted);
    }
}

/// Remembers that nothing but an access control list allows a request.
pub(crate) fn saw_need_of_list(context: &Context<'_>) {
    if let Some(trail) = context.parts.extensions.get::<Arc<Trail>>() {
        let _first = trail.needs_list.set(());
    }
}

/// How a request was answered.
pub(crate) struct Answered<'a> {
    pub(crate) operation: Option<Operation>,
    pub(crate) request_id: RequestId,
    pub(crate) status: StatusCode,
    /// The code of the error, if it was one.
    pub(crate) code: Option<&'static str>,
    pub(crate) headers: &'a HeaderMap,
    /// How long the body is, if that is known.
    pub(crate) body_bytes: Option<u64>,
    pub(crate) took: Duration,
}

/// What a line is about.
#[derive(Clone)]
struct Subject<'a> {
    rules: &'a Rules,
    operation: String,
    key: Option<&'a str>,
    version: Option<&'a str>,
    size: Option<u64>,
    needs_list: bool,
}

/// Leaves a line about a request, if its bucket has logging, and one about what it copies, if the bucket of that has.
pub(crate) fn leave(shared: &Shared, parts: &Parts, answered: &Answered<'_>) {
    let Some(trail) = parts.extensions.get::<Arc<Trail>>() else { return };
    let dialect = shared.config.dialect;
    let named = |operation| name(dialect, operation);
    let operation = || answered.operation.map_or_else(|| "-".to_owned(), named);
    if let Some(rules) = trail.rules.get() {
        let query = crate::query::Query::parse(parts.uri.query()).ok();
        let subject = Subject {
            rules,
            operation: operation(),
            key: trail.key.get().map(String::as_str),
            version: query.as_ref().and_then(|query| query.get("versionId")),
            size: object_size(parts, answered),
            needs_list: trail.needs_list.get().is_some(),
        };
        let lines: String = match trail.deleted.get().filter(|deleted| !deleted.is_empty()) {
            None => line(shared, (trail, &subject), parts, answered),
            Some(deleted) => deleted
                .iter()
                .map(|(key, version)| Subject {
                    key: Some(key),
                    version: version.as_deref(),
                    ..subject.clone()
                })
                .map(|subject| line(shared, (trail, &subject), parts, answered))
                .collect(),
        };
        shared.access_logs.add(rules, &lines);
    }
    let source = trail.source.get().filter(|_| !dialect.logs_each_key());
    if let Some(Source { rules, key, version }) = source {
        let subject = Subject {
            rules,
            operation: operation() + "_GET",
            key: Some(key),
            version: version.as_deref(),
            size: None,
            needs_list: false,
        };
        shared.access_logs.add(rules, &line(shared, (trail, &subject), parts, answered));
    }
}

fn line(
    shared: &Shared,
    (trail, subject): (&Trail, &Subject<'_>),
    parts: &Parts,
    answered: &Answered<'_>,
) -> String {
    let mut out = String::with_capacity(512);
    let dash = "-".to_owned();
    let header = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let peer = parts.extensions.get::<Peer>();
    let (who, method) = match trail.verified.get() {
        Some((who, method)) => (who.as_str(), Some(*method)),
        None => ("-", None),
    };
    word(&mut out, &subject.rules.owner.canonical);
    word(&mut out, subject.rules.bucket.as_str());
    let _infallible = write!(out, "[{}] ", time(UnixMillis::now()));
    word(&mut out, &peer.map_or(dash, |peer| peer.address.to_canonical().to_string()));
    word(&mut out, who);
    word(&mut out, &answered.request_id.to_string());
    word(&mut out, &subject.operation);
    word(&mut out, &subject.key.map_or(Cow::Borrowed("-"), crate::encoding::url_encode));
    quoted(&mut out, Some(&format!("{} {} {:?}", parts.method, shown_uri(parts), parts.version)));
    word(&mut out, answered.status.as_str());
    word(&mut out, answered.code.unwrap_or("-"));
    number(&mut out, answered.body_bytes.filter(|bytes| *bytes > 0));
    number(&mut out, subject.size);
    let took = u64::try_from(answered.took.as_millis()).unwrap_or(u64::MAX);
    number(&mut out, Some(took));
    number(&mut out, Some(took));
    quoted(&mut out, header(header::REFERER));
    quoted(&mut out, header(header::USER_AGENT));
    word(&mut out, subject.version.unwrap_or("-"));
    word(&mut out, shared.ids.host_id());
    word(
        &mut out,
        match method {
            None | Some(AuthMethod::Anonymous) => "-",
            Some(AuthMethod::FormV2 | AuthMethod::HeaderV2 | AuthMethod::PresignedV2) => "SigV2",
            Some(_) => "SigV4",
        },
    );
    // rustls does not tell its cipher as OpenSSL names it.
    word(&mut out, "-");
    word(
        &mut out,
        match method {
            None | Some(AuthMethod::Anonymous) => "-",
            Some(AuthMethod::Header | AuthMethod::HeaderV2) => "AuthHeader",
            Some(AuthMethod::Presigned | AuthMethod::PresignedV2) => "QueryString",
            Some(AuthMethod::Form | AuthMethod::FormV2) => "POST",
        },
    );
    word(&mut out, header(header::HOST).unwrap_or("-"));
    word(
        &mut out,
        &peer
            .and_then(|peer| peer.tls_version)
            .map_or_else(|| "-".to_owned(), |version| format!("TLSv{version}")),
    );
    // There are no access points.
    out.push_str(if subject.needs_list { "- Yes\n" } else { "- -\n" });
    out
}

/// What was asked for, without what a reader of the log could ask with again.
fn shown_uri(parts: &Parts) -> String {
    let path = parts.uri.path();
    let Some(query) = parts.uri.query() else { return path.to_owned() };
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if SECRET_PARAMETERS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) => {
            format!("{name}=-")
        }
        _ => pair.to_owned(),
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

/// A field without spaces; what a client could break a line with is escaped.
fn word(out: &mut String, text: &str) {
    if text.is_empty() {
        out.push('-');
    }
    for c in text.chars().take(QUOTED_CHARS_MAX) {
        if c.is_ascii_graphic() && c != '"' {
            out.push(c);
        } else {
            let _infallible =
                c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(out, "%{byte:02X}"));
        }
    }
    out.push(' ');
}

/// A field in quotation marks.
fn quoted(out: &mut String, text: Option<&str>) {
    let Some(text) = text else {
        out.push_str("\"-\" ");
        return;
    };
    out.push('"');
    for c in text.chars().take(QUOTED_CHARS_MAX) {
        if c.is_control() || c == '"' {
            let _infallible =
                c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(out, "%{byte:02X}"));
        } else {
            out.push(c);
        }
    }
    out.push_str("\" ");
}

fn number(out: &mut String, number: Option<u64>) {
    match number {
        Some(number) => {
            let _infallible = write!(out, "{number} ");
        }
        None => out.push_str("- "),
    }
}

/// `06/Feb/2019:00:00:38 +0000`.
fn time(at: UnixMillis) -> String {
    let format =
        time::macros::format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    let at = time::OffsetDateTime::from_unix_timestamp(at.seconds()).ok();
    at.and_then(|at| at.format(format).ok()).unwrap_or_else(|| "-".to_owned())
}

/// The size of the object that was read or written.
fn object_size(parts: &Parts, answered: &Answered<'_>) -> Option<u64> {
    let text = |headers: &HeaderMap, name: &str| -> Option<String> {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    match answered.operation {
        Some(Operation::GetObject | Operation::HeadObject) if answered.status.is_success() => {
            let range = text(answered.headers, "content-range");
            let whole = range.and_then(|range| range.rsplit('/').next()?.parse().ok());
            let length = text(answered.headers, "content-length").and_then(|length| length.parse().ok());
            whole.or(length).or(answered.body_bytes)
        }
        Some(Operation::PutObject | Operation::UploadPart) => {
            let decoded = text(&parts.headers, "x-amz-decoded-content-length");
            decoded.or_else(|| text(&parts.headers, "content-length"))?.parse().ok()
        }
        _ => None,
    }
}

/// The operation as logs name it: `REST.PUT.OBJECT`.
fn name(dialect: Dialect, operation: Operation) -> String {
    match operation {
        Operation::CopyObject if dialect.logs_each_key() => return "REST.PUT.OBJECT".to_owned(),
        Operation::DeleteObjects if dialect.logs_each_key() => {
            return "REST.POST.DELETE_MULTI_OBJECT".to_owned();
        }
        _ => {}
    }
    let method = match operation {
        Operation::CopyObject | Operation::UploadPartCopy => "COPY".to_owned(),
        other => other.method().to_string(),
    };
    let resource = match (operation.selector(), operation.scope()) {
        (Selector::Upload | Selector::UploadCopy, _) => match operation {
            Operation::UploadPart | Operation::UploadPartCopy => "PART",
            _ => "UPLOAD",
        }
        .to_owned(),
        (Selector::Subresource(name) | Selector::SubresourceWithId(name), scope) => match (name, scope) {
            ("delete", _) => "MULTI_OBJECT_DELETE".to_owned(),
            ("policy", _) => "BUCKETPOLICY".to_owned(),
            ("versions", _) => "BUCKETVERSIONS".to_owned(),
            ("logging", _) => "LOGGING_STATUS".to_owned(),
            ("requestPayment", _) => "REQUEST_PAYMENT".to_owned(),
            ("tagging", Scope::Object) => "OBJECT_TAGGING".to_owned(),
            (name, _) => name.to_ascii_uppercase().replace('-', "_"),
        },
        (_, Scope::Service) => "SERVICE".to_owned(),
        (_, Scope::Bucket) => "BUCKET".to_owned(),
        (_, Scope::Object) => "OBJECT".to_owned(),
    };
    format!("REST.{method}.{resource}")
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
