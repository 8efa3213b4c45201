//! What a browser is shown where there is no page.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::rules::Redirect;
use crate::error::S3Error;
use crate::respond::{self, S3Response};

/// An error as a page.
pub(super) fn error(method: &Method, error: &S3Error) -> S3Response {
    let status = error.code().status();
    let mut response = match status {
        // What it says of a body is taken for that of the page that is kept (RFC 9111, section 4.3.4).
        StatusCode::NOT_MODIFIED => respond::empty(status),
        _ => shown(method, error),
    };
    for (name, value) in error.headers() {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// What a browser shows of an error.
fn shown(method: &Method, error: &S3Error) -> S3Response {
    let status = error.code().status();
    let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let mut items = String::new();
    let mut add = |name: &str, value: &str| {
        items.push_str(&format!("<li>{name}: {}</li>\n", escape(value)));
    };
    add("Code", error.code().as_str());
    add("Message", error.message());
    for (name, value) in error.fields() {
        add(name, value);
    }
    let page = format!(
        "<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n{items}</ul>\n</body>\n</html>\n"
    );
    let body = if *method == Method::HEAD { Body::empty() } else { Body::from(page) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    respond::set(headers, header::HeaderName::from_static("x-amz-error-code"), error.code().as_str());
    response
}

/// A redirect without a page; one whose address is no header is an error that nothing can be told of.
pub(super) fn redirect(Redirect { code, location }: Redirect) -> S3Response {
    let mut response = respond::empty(code);
    respond::set(response.headers_mut(), header::LOCATION, location);
    response
}

/// The redirect that an object asks for instead of being sent.
pub(super) fn of_object(headers: &HeaderMap) -> Option<String> {
    let location = headers.get("x-amz-website-redirect-location")?;
    location.to_str().ok().map(str::to_owned)
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
