//! The server's side.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, post};
use bytes::Bytes;
use granary_auth::{PayloadMode, Principal, Verifier};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::backend::AdminBackend;
use crate::error::AdminError;
use crate::losses::LossesDismissed;
use crate::model::{DriveList, NodeList, TaskId, TaskKind, TaskStarted};
use crate::moves::{DrainEnded, Fate, Leaving};

/// Few requests have a body, and the longest holds a policy.
const MAX_BODY_BYTES: usize = 64 * 1024;
const DEFAULT_PAGE: usize = 1000;
const MAX_PAGE: usize = 10_000;

type Backend = Arc<dyn AdminBackend>;

/// The API's routes. They are whole paths: put the router under no prefix.
pub fn router(backend: Backend, verifier: Arc<Verifier>) -> Router {
    Router::new()
        .route("/_granary/v1/drives", get(drives))
        .route("/_granary/v1/drives/{id}", delete(remove_drive))
        .route(
            "/_granary/v1/drives/{id}/drain",
            post(|state, id, uri| drain(state, Target::Drive, id, uri))
                .delete(|state, id| cancel_drain(state, Target::Drive, id)),
        )
        .route(
            "/_granary/v1/drives/{id}/replace",
            post(|state, id, uri| drain(state, Target::Replacement, id, uri)),
        )
        .route("/_granary/v1/tiers", get(tiers))
        .route("/_granary/v1/moves", get(moves))
        .route("/_granary/v1/nodes", get(nodes))
        .route(
            "/_granary/v1/nodes/{id}/drain",
            post(|state, id, uri| drain(state, Target::Node, id, uri))
                .delete(|state, id| cancel_drain(state, Target::Node, id)),
        )
        .route("/_granary/v1/nodes/{id}", delete(remove_node))
        .route("/_granary/v1/losses", get(losses).delete(dismiss_losses))
        .route("/_granary/v1/volumes", get(volumes))
        .route("/_granary/v1/heal", post(|state| start(state, TaskKind::Heal)))
        .route("/_granary/v1/scrub", post(|state| start(state, TaskKind::Scrub)))
        .route("/_granary/v1/compact", post(|state| start(state, TaskKind::Compact)))
        .route("/_granary/v1/tasks/{id}", get(progress))
        .route("/_granary/v1/identities", post(identities))
        .route("/_granary/v1/buckets", post(buckets))
        .route("/_granary/v1/restores", post(restores))
        .route("/_granary/v1/warm", post(warm))
        .fallback(|| async { answer::<()>(Err(AdminError::NotFound("there is no such page".to_owned()))) })
        .layer(middleware::from_fn_with_state(verifier, authenticate))
        .with_state(backend)
}

/// Lets a request through if root signed it and its body.
async fn authenticate(State(verifier): State<Arc<Verifier>>, request: Request, next: Next) -> Response {
    match check(&verifier, request).await {
        Ok(request) => next.run(request).await,
        Err(error) => answer::<()>(Err(error)),
    }
}

async fn check(verifier: &Verifier, request: Request) -> Result<Request, AdminError> {
    let (parts, body) = request.into_parts();
    let verified = verifier.verify(&parts, SystemTime::now())?;
    let Principal::Root { .. } = verified.principal else { return Err(AdminError::NotRoot) };
    let PayloadMode::Signed(expected) = verified.payload else {
        return Err(AdminError::Invalid("the body must be covered by the signature".to_owned()));
    };
    let body: Bytes = Limited::new(body, MAX_BODY_BYTES)
        .collect()
        .await
        .map_err(|_| AdminError::Invalid("the body is too long or did not arrive whole".to_owned()))?
        .to_bytes();
    if !bool::from(Sha256::digest(&body).as_slice().ct_eq(&expected.0)) {
        return Err(AdminError::Invalid("the body does not have the SHA-256 that was signed".to_owned()));
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

async fn drives(State(backend): State<Backend>) -> Response {
    answer(backend.list_drives().await.map(|drives| (StatusCode::OK, DriveList { drives })))
}

async fn tiers(State(backend): State<Backend>) -> Response {
    answer(backend.list_tiers().await.map(|tiers| (StatusCode::OK, tiers)))
}

async fn nodes(State(backend): State<Backend>) -> Response {
    answer(backend.list_nodes().await.map(|nodes| (StatusCode::OK, NodeList { nodes })))
}

async fn remove_node(State(backend): State<Backend>, Path(id): Path<String>) -> Response {
    answer(backend.remove_node(&id).await.map(|()| (StatusCode::OK, ())))
}

async fn remove_drive(State(backend): State<Backend>, Path(id): Path<String>) -> Response {
    answer(backend.remove_drive(&id).await.map(|()| (StatusCode::OK, ())))
}

async fn moves(State(backend): State<Backend>) -> Response {
    answer(backend.moves().await.map(|moves| (StatusCode::OK, moves)))
}

/// What a path about a drain names.
#[derive(Clone, Copy)]
enum Target {
    Drive,
    Node,
    Replacement,
}

async fn drain(State(backend): State<Backend>, target: Target, Path(id): Path<String>, uri: Uri) -> Response {
    let done = async {
        let parameters = DrainParameters::read(uri.query().unwrap_or_default())?;
        let leaving = match (target, parameters.by) {
            (Target::Drive, None) => Leaving::Drive(id),
            (Target::Node, None) => Leaving::Node(id),
            (Target::Replacement, Some(new)) => Leaving::Replaced { old: id, new, fate: parameters.fate },
            (Target::Replacement, None) => {
                return Err(AdminError::Invalid("by names the drive that takes its place".to_owned()));
            }
            (_, Some(_)) => return Err(AdminError::Invalid("by is for replacements".to_owned())),
        };
        backend.drain(leaving, parameters.apply).await
    };
    answer(done.await.map(|plan| (StatusCode::OK, plan)))
}

async fn cancel_drain(State(backend): State<Backend>, target: Target, Path(id): Path<String>) -> Response {
    let leaving = match target {
        Target::Node => Leaving::Node(id),
        Target::Drive | Target::Replacement => Leaving::Drive(id),
    };
    answer(backend.cancel_drain(leaving).await.map(|ended| (StatusCode::OK, DrainEnded { ended })))
}

#[derive(Default)]
struct DrainParameters {
    apply: bool,
    by: Option<String>,
    fate: Fate,
}

impl DrainParameters {
    fn read(query: &str) -> Result<Self, AdminError> {
        let mut read = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("apply", "true")) => read.apply = true,
                Some(("apply", "false")) => read.apply = false,
                Some(("lost", "true")) => read.fate = Fate::Lost,
                Some(("lost", "false")) => read.fate = Fate::Unsaid,
                Some(("by", value)) if !value.is_empty() => {
                    let decoded = percent_decode_str(value).decode_utf8();
                    let decoded = decoded.map_err(|_| AdminError::Invalid("by is not UTF-8".to_owned()))?;
                    read.by = Some(decoded.into_owned());
                }
                _ => return Err(AdminError::Invalid("the parameters are apply and by".to_owned())),
            }
        }
        Ok(read)
    }
}

async fn volumes(State(backend): State<Backend>, uri: Uri) -> Response {
    let page = async {
        let (after, limit) = page_parameters(uri.query().unwrap_or_default())?;
        backend.list_volumes(after.as_deref(), limit).await
    };
    answer(page.await.map(|page| (StatusCode::OK, page)))
}

async fn losses(State(backend): State<Backend>, uri: Uri) -> Response {
    let page = async {
        let (after, limit) = page_parameters(uri.query().unwrap_or_default())?;
        backend.list_losses(after.as_deref(), limit).await
    };
    answer(page.await.map(|page| (StatusCode::OK, page)))
}

async fn dismiss_losses(State(backend): State<Backend>) -> Response {
    let dismissed = backend.dismiss_losses().await;
    answer(dismissed.map(|dismissed| (StatusCode::OK, LossesDismissed { dismissed })))
}

async fn start(State(backend): State<Backend>, kind: TaskKind) -> Response {
    answer(backend.start(kind).await.map(|task| (StatusCode::ACCEPTED, TaskStarted { task })))
}

async fn progress(State(backend): State<Backend>, Path(id): Path<String>) -> Response {
    answer(backend.progress(&TaskId(id)).await.map(|progress| (StatusCode::OK, progress)))
}

async fn identities(State(backend): State<Backend>, body: Bytes) -> Response {
    let done = async {
        // The parser's message could quote a secret.
        let request = serde_json::from_slice(&body)
            .map_err(|_| AdminError::Invalid("the body is no request about identities".to_owned()))?;
        backend.identities(request).await
    };
    answer(done.await.map(|report| (StatusCode::OK, report)))
}

async fn buckets(State(backend): State<Backend>, body: Bytes) -> Response {
    let done = async {
        let request = serde_json::from_slice(&body)
            .map_err(|error| AdminError::Invalid(format!("the body is no request about buckets: {error}")))?;
        backend.buckets(request).await
    };
    answer(done.await.map(|found| (StatusCode::OK, found)))
}

async fn restores(State(backend): State<Backend>, body: Bytes) -> Response {
    let done = async {
        let request = serde_json::from_slice(&body)
            .map_err(|error| AdminError::Invalid(format!("the body is no request to restore: {error}")))?;
        backend.restore(request).await
    };
    answer(done.await.map(|page| (StatusCode::OK, page)))
}

async fn warm(State(backend): State<Backend>, body: Bytes) -> Response {
    let done = async {
        let request = serde_json::from_slice(&body)
            .map_err(|error| AdminError::Invalid(format!("the body is no request about copies: {error}")))?;
        backend.warm(request).await
    };
    answer(done.await.map(|found| (StatusCode::OK, found)))
}

fn page_parameters(query: &str) -> Result<(Option<String>, usize), AdminError> {
    let (mut after, mut limit) = (None, DEFAULT_PAGE);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("after", value)) if !value.is_empty() => {
                let decoded = percent_decode_str(value).decode_utf8();
                after = Some(
                    decoded.map_err(|_| AdminError::Invalid("after is not UTF-8".to_owned()))?.into_owned(),
                );
            }
            Some(("limit", value)) => {
                limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MAX_PAGE).contains(limit))
                    .ok_or_else(|| AdminError::Invalid(format!("limit must be from 1 to {MAX_PAGE}")))?;
            }
            _ => return Err(AdminError::Invalid("the parameters are after and limit".to_owned())),
        }
    }
    Ok((after, limit))
}

#[derive(Serialize)]
struct ErrorDocument<'a> {
    code: &'a str,
    message: String,
}

fn answer<T: Serialize>(result: Result<(StatusCode, T), AdminError>) -> Response {
    let (status, document) = match result {
        Ok((status, value)) => (status, serde_json::to_vec(&value)),
        Err(error) => {
            let document = ErrorDocument { code: error.code(), message: error.to_string() };
            (error.status(), serde_json::to_vec(&document))
        }
    };
    let (status, document) = document.map_or_else(
        |error| {
            tracing::error!(%error, "encoding an answer of the admin API failed");
            (StatusCode::INTERNAL_SERVER_ERROR, Vec::new())
        },
        |document| (status, document),
    );
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
