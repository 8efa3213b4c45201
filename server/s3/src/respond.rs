//! Responses: XML documents, errors, and the headers every response has.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::error::{ErrorCode, S3Error};
use crate::request_id::RequestId;
use crate::xml::XmlWriter;

/// A response of this crate.
pub(crate) type S3Response = Response<Body>;

/// How long a client is asked to wait before it tries again.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

/// A response with `status` and no body.
pub(crate) fn empty(status: StatusCode) -> S3Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// 200 with an XML document.
pub(crate) fn xml(document: Bytes) -> S3Response {
    let mut response = Response::new(Body::from(document));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// Sets a header whose value was made here; a value that is no header text is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: impl TryInto<HeaderValue>) {
    if let Ok(value) = value.try_into() {
        headers.insert(name, value);
    }
}

/// What an error response quotes from its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorContext<'a> {
    /// The request's method: a HEAD gets no document.
    pub(crate) method: &'a Method,
    /// The path as it came.
    pub(crate) resource: &'a str,
    /// The request's id.
    pub(crate) request_id: RequestId,
    /// This server's id.
    pub(crate) host_id: &'a str,
}

/// Renders an error. HEAD and 304 have no body.
pub(crate) fn error(error: &S3Error, context: ErrorContext<'_>) -> S3Response {
    let status = error.code().status();
    let without_body = *context.method == Method::HEAD || status == StatusCode::NOT_MODIFIED;
    let body = if without_body { Body::empty() } else { Body::from(document(error, context)) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if status != StatusCode::NOT_MODIFIED {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER_S);
    }
    for (name, value) in error.headers() {
        headers.insert(name, value.clone());
    }
    response
}

fn document(error: &S3Error, context: ErrorContext<'_>) -> Bytes {
    let mut xml = XmlWriter::bare_document("Error");
    error_elements(&mut xml, error);
    xml.text("Resource", context.resource);
    xml.plain("RequestId", context.request_id);
    xml.text("HostId", context.host_id);
    xml.finish("Error")
}

fn error_elements(xml: &mut XmlWriter, error: &S3Error) {
    xml.text("Code", error.code().as_str());
    xml.echo("Message", error.message());
    for (name, value) in error.fields() {
        xml.echo(name, value);
    }
}

/// Adds what every response carries.
pub(crate) fn finish(response: &mut S3Response, request_id: RequestId, host_id: &HeaderValue) {
    let headers = response.headers_mut();
    set(headers, HeaderName::from_static("x-amz-request-id"), request_id.to_string());
    headers.insert(HeaderName::from_static("x-amz-id-2"), host_id.clone());
    headers.insert(header::SERVER, HeaderValue::from_static("Granary"));
}

/// Whether an error is the server's fault and belongs in the log with its cause.
pub(crate) fn is_server_fault(code: ErrorCode) -> bool {
    code.status().is_server_error() && code != ErrorCode::NotImplemented
}

#[cfg(test)]
#[path = "respond_tests.rs"]
mod tests;
