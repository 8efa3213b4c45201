//! What a browser is answered after its upload.

use axum::body::Body;
use granary_types::{BucketName, ObjectKey};
use http::request::Parts;
use http::{HeaderValue, StatusCode, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::fields::Fields;
use crate::encoding::url_encode;
use crate::peer;
use crate::respond::{self, S3Response};
use crate::xml::XmlWriter;

/// The unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The answer that the form asks for, from the one of the PutObject it stood for.
pub(super) fn success(
    parts: &Parts,
    host: &str,
    fields: &Fields,
    (bucket, key): (&BucketName, &ObjectKey),
    mut stored: S3Response,
) -> S3Response {
    let etag = stored.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default();
    let etag = etag.to_owned();
    let asked = fields.get("success_action_redirect").or_else(|| fields.get("redirect"));
    if let Some(target) = asked.and_then(|target| redirect(target, bucket, key, &etag)) {
        *stored.status_mut() = StatusCode::SEE_OTHER;
        stored.headers_mut().insert(header::LOCATION, target);
        return stored;
    }
    let location = location(parts, host, key);
    *stored.status_mut() = match fields.get("success_action_status") {
        Some("200") => StatusCode::OK,
        Some("201") => {
            let mut xml = XmlWriter::bare_document("PostResponse");
            xml.text("Location", &location);
            xml.text("Bucket", bucket.as_str());
            xml.echo("Key", key.as_str());
            xml.etag(etag.trim_matches('"'));
            *stored.body_mut() = Body::from(xml.finish("PostResponse"));
            let xml = HeaderValue::from_static("application/xml");
            stored.headers_mut().insert(header::CONTENT_TYPE, xml);
            StatusCode::CREATED
        }
        _ => StatusCode::NO_CONTENT,
    };
    respond::set(stored.headers_mut(), header::LOCATION, location);
    stored
}

/// Where the object is, as the client addressed its bucket.
fn location(parts: &Parts, host: &str, key: &ObjectKey) -> String {
    let scheme = peer::scheme(parts);
    let bucket = parts.uri.path().trim_end_matches('/');
    format!("{scheme}://{host}{bucket}/{}", url_encode(key.as_str()))
}

/// The address to send the browser to; `None` for what is none, which AWS then ignores.
fn redirect(target: &str, bucket: &BucketName, key: &ObjectKey, etag: &str) -> Option<HeaderValue> {
    let uri: Uri = target.parse().ok()?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.authority().is_none() {
        return None;
    }
    let (address, fragment) = target.split_once('#').unwrap_or((target, ""));
    let separator = if address.contains('?') { '&' } else { '?' };
    let hash = if fragment.is_empty() { "" } else { "#" };
    let encode = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let (key, etag) = (encode(key.as_str()), encode(etag));
    let target = format!("{address}{separator}bucket={bucket}&key={key}&etag={etag}{hash}{fragment}");
    HeaderValue::try_from(target).ok()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
