//! The IAM and STS APIs: AWS's query protocol.
//!
//! A request is a form, posted to `/`; the service it is signed for tells which API is meant. Sources:
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/>, <https://docs.aws.amazon.com/STS/latest/APIReference/>

mod absent;
mod actions;
mod call;
mod common;
mod conditions;
mod form;
mod grants;
mod groups;
mod keys;
mod limits;
mod paging;
mod policies;
mod providers;
mod roles;
mod sts;
mod summary;
mod tagging;
mod users;
mod web;
mod xml;

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use granary_auth::{Principal, Service, Verifier};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use sha2::{Digest as _, Sha256};

use self::call::Call;
use self::form::{FORM_BYTES_MAX, Form};
use self::xml::Xml;
use crate::error::{Code, IamError, Result};
use crate::store::IdentityStore;
use crate::vault::fill;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// What all requests share.
#[derive(Clone)]
struct Api {
    store: IdentityStore,
    verifier: Arc<Verifier>,
}

/// The routes of both APIs. Which requests are theirs, [`is_query`] says.
pub fn router(store: IdentityStore, verifier: Arc<Verifier>) -> Router {
    Router::new().fallback(handle).with_state(Api { store, verifier })
}

/// Whether a request is for these APIs: a form posted to the root. S3 has no such request: its forms are
/// `multipart/form-data`.
#[must_use]
pub fn is_query(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let is_form = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    *method == Method::POST && path == "/" && is_form
}

async fn handle(State(api): State<Api>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let service = service_of(&parts);
    let id = request_id();
    match serve(&api, &parts, body, service).await {
        Ok((action, xml)) => answer(&success(service, &action, xml, &id), StatusCode::OK, &id),
        Err(error) => {
            let code = error.code();
            if code.status().is_server_error() && code != Code::NotImplemented {
                tracing::error!(request_id = id, error = causes(&error), "an identity request failed");
            } else {
                tracing::debug!(request_id = id, %error, code = code.as_str(), "an identity request was refused");
            }
            answer(&failure(service, &error, &id), code.status(), &id)
        }
    }
}

/// Which service the request says it is signed for. The signature is right for that one only.
fn service_of(parts: &Parts) -> Service {
    // The only action that nobody signs is one of STS.
    if !parts.headers.contains_key(AUTHORIZATION) {
        return Service::Sts;
    }
    let scope = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if scope.contains("/sts/aws4_request") { Service::Sts } else { Service::Iam }
}

async fn serve(api: &Api, parts: &Parts, body: Body, service: Service) -> Result<(String, Xml)> {
    let body = Limited::new(body, FORM_BYTES_MAX).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return IamError::new(Code::RequestEntityTooLarge, "The request is too long.");
        }
        IamError::invalid("The request did not arrive whole.")
    })?;
    let body = body.to_bytes();
    let principal = match parts.headers.contains_key(AUTHORIZATION) {
        false if is_unsigned(&body) => Principal::Anonymous,
        _ => {
            let sha256 = hex::encode(Sha256::digest(&body));
            api.verifier.verify_query(parts, service, &sha256, SystemTime::now())?.principal
        }
    };
    let form = Form::read(&body)?;
    let name = form.required("Action")?.to_owned();
    check_version(service, form.get("Version"))?;
    let account = match &principal {
        Principal::User(identity) => Arc::clone(&identity.account),
        Principal::Root { .. } | Principal::Anonymous => Arc::clone(api.store.own_account()),
    };
    let call = Call {
        store: &api.store,
        form: &form,
        principal: &principal,
        peer: parts.extensions.get(),
        account,
        action: format!("{}:{name}", service.name()),
    };
    let xml = actions::run(&call, service, &name).await?;
    Ok((name, xml))
}

/// Whether a request brings a token in the place of a signature.
fn is_unsigned(body: &[u8]) -> bool {
    Form::read(body).is_ok_and(|form| form.get("Action") == Some(web::ACTION))
}

fn version(service: Service) -> &'static str {
    match service {
        Service::Sts => "2011-06-15",
        Service::Iam | Service::S3 => "2010-05-08",
    }
}

fn check_version(service: Service, given: Option<&str>) -> Result<()> {
    if given.is_none_or(|given| given == version(service)) {
        return Ok(());
    }
    let message = format!("The only version of this API is {}.", version(service));
    Err(IamError::new(Code::InvalidAction, message))
}

fn namespace(service: Service) -> String {
    let host = if service == Service::Sts { "sts" } else { "iam" };
    format!("https://{host}.amazonaws.com/doc/{}/", version(service))
}

fn success(service: Service, action: &str, xml: Xml, id: &str) -> String {
    let result = xml.into_text();
    // The one action whose result is there and empty; others without any have no result at all.
    let result = if result.is_empty() && action != "UpdateRole" {
        result
    } else {
        format!("<{action}Result>{result}</{action}Result>")
    };
    format!(
        "<{action}Response xmlns=\"{}\">{result}<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>\
         </{action}Response>",
        namespace(service)
    )
}

fn failure(service: Service, error: &IamError, id: &str) -> String {
    let kind = if error.code().status().is_server_error() { "Receiver" } else { "Sender" };
    let mut xml = Xml::new();
    xml.element("Error", |xml| {
        xml.text("Type", kind).text("Code", error.code().as_str()).text("Message", error.message());
    });
    xml.text("RequestId", id);
    format!("<ErrorResponse xmlns=\"{}\">{}</ErrorResponse>", namespace(service), xml.into_text())
}

fn answer(text: &str, status: StatusCode, id: &str) -> Response {
    let mut response =
        Response::new(Body::from(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A random UUID. Without random numbers all requests have the same, which is no reason to refuse them.
fn request_id() -> String {
    let mut bytes = [0_u8; 16];
    if let Err(error) = fill(&mut bytes) {
        tracing::error!(%error, "a request has no id of its own");
    }
    let text = hex::encode(bytes);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

fn causes(error: &IamError) -> String {
    let mut line = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        next = cause.source();
    }
    line
}
