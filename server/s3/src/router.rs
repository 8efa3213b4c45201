//! The way of a request: address, operation, authentication, authorisation, handler, answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use granary_auth::{AuthError, RequestHead, Verified, explain, is_signed_v2, request_host};
use granary_engine::Waits;
use granary_types::BucketName;
use http::request::Parts;
use http::{Method, header};
use http_body::Body as _;

use crate::access;
use crate::address::Address;
use crate::body::Leftover;
use crate::context::{Context, ReceivedMeter};
use crate::cors;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::form;
use crate::logs::{self, Answered, Trail};
use crate::operation::{Operation, Scope, Status, route};
use crate::ops;
use crate::query::Query;
use crate::rates;
use crate::respond::{self, ErrorContext, S3Response};
use crate::state::{S3State, Shared, SignatureV2};
use crate::website;

/// The S3 service: every method and path.
pub fn router(state: S3State) -> Router {
    Router::new().fallback(handle).with_state(state)
}

async fn handle(State(state): State<S3State>, request: Request) -> S3Response {
    let shared = &*state.0;
    let started = Instant::now();
    let request_id = shared.ids.next();
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(request_id);
    parts.extensions.insert(Arc::new(Trail::default()));
    let received = ReceivedMeter::default();
    let mut operation = None;
    let leftover = Leftover::default();
    let (result, waits) = {
        let served = pin!(serve(&state, &parts, leftover.watch(body), &received, &mut operation));
        Waits::during(served).await
    };
    let cross_origin = parts.headers.contains_key(header::ORIGIN) && parts.method != Method::OPTIONS;
    let code = result.as_ref().err().map(|error| error.code().as_str());
    let mut response = match result {
        Ok(response) => response,
        Err(error) => {
            if may_still_send(&parts, &error) {
                leftover.discard().await;
            }
            let context = ErrorContext {
                method: &parts.method,
                resource: parts.uri.path(),
                request_id,
                host_id: shared.ids.host_id(),
            };
            log(&error, operation, context);
            respond::error(&error, context)
        }
    };
    if cross_origin && let Some(bucket) = bucket_of(shared, &parts) {
        cors::add_to(shared, &parts, &bucket, &mut response).await;
    }
    respond::finish(&mut response, request_id, &shared.host_id);
    let answered = Answered {
        operation,
        request_id,
        status: response.status(),
        code,
        headers: response.headers(),
        body_bytes: response.body().size_hint().exact(),
        took: started.elapsed(),
    };
    logs::leave(shared, &parts, &answered);
    shared.metrics.of(operation).record(response.status(), started.elapsed(), received.read(), waits);
    response
}

/// Whether the client may still be sending the body of a request that was refused. One that waits for `100
/// Continue` is not, and reading would tell it to begin; one that fell silent or hung up will not go on.
fn may_still_send(parts: &Parts, error: &S3Error) -> bool {
    !parts.headers.contains_key(header::EXPECT)
        && !matches!(error.code(), ErrorCode::RequestTimeout | ErrorCode::IncompleteBody)
}

fn log(error: &S3Error, operation: Option<Operation>, context: ErrorContext<'_>) {
    let operation = operation.map_or("-", Operation::name);
    if respond::is_server_fault(error.code()) {
        let cause = error.causes();
        tracing::error!(request_id = %context.request_id, operation, resource = context.resource, %error, cause);
    } else {
        tracing::debug!(request_id = %context.request_id, operation, resource = context.resource, %error);
    }
}

async fn serve(
    state: &S3State,
    parts: &Parts,
    body: Body,
    received: &ReceivedMeter,
    operation: &mut Option<Operation>,
) -> S3Result<S3Response> {
    let shared = &*state.0;
    let head = RequestHead::from(parts);
    let host = request_host(&head)?.unwrap_or_default();
    if let Some(bucket) = shared.config.website_domains.bucket_of(host) {
        *operation = Some(Operation::GetObject);
        return Ok(website::serve(state, parts, (host, &bucket), received).await);
    }
    if parts.method == Method::OPTIONS {
        let bucket = bucket_of(shared, parts).ok_or(ErrorCode::MethodNotAllowed)?;
        return cors::preflight(shared, parts, &bucket).await;
    }
    let query = Query::parse(parts.uri.query())?;
    if form::is_form(parts, &query)
        && let Address::Bucket(bucket) = Address::resolve(&shared.config.domains, host, parts.uri.path())?
    {
        *operation = Some(Operation::PutObject);
        return form::post(state, parts, (host, bucket), body, received).await;
    }
    let now = SystemTime::now();
    let verified = verify(shared, (head, host), now).map_err(|error| refusal(head, now, error));
    let routed = resolve(shared, parts, host, &query);
    if let Ok((found, _)) = &routed {
        *operation = Some(*found);
    }
    let outcome = async {
        // It is signed for another service, so that its signature cannot be right here.
        if let Ok((operation @ Operation::WriteGetObjectResponse, _)) = &routed {
            return Err(S3Error::not_implemented(operation));
        }
        let verified = verified?;
        let (operation, address) = routed?;
        let context = Context::new(state, (parts, &query, host), &verified, operation, received);
        run(&context, operation, address, body).await
    };
    outcome.await
}

fn verify(
    shared: &Shared,
    (head, host): (RequestHead<'_>, &str),
    now: SystemTime,
) -> Result<Verified, AuthError> {
    match shared.config.signature_v2 {
        SignatureV2::Accepted if is_signed_v2(head) => {
            shared.verifier.verify_v2(head, shared.config.domains.bucket_of(host).as_deref(), now)
        }
        _ => shared.verifier.verify(head, now),
    }
}

/// Runs an operation, if its sender may.
pub(crate) async fn run(
    context: &Context<'_>,
    operation: Operation,
    address: Address,
    body: Body,
) -> S3Result<S3Response> {
    rates::check_sender(context)?;
    access::authorise(context, operation, &address).await?;
    rates::check_bucket(context)?;
    if operation.status() == Status::Missing {
        return Err(S3Error::not_implemented(operation));
    }
    let mut response = ops::run(context, operation, address, body).await?;
    if context.charged.get().is_some() {
        access::payment::tell(access::payment::Payer::Requester, response.headers_mut());
    }
    Ok(response)
}

/// The bucket that a request is about, signed or not.
fn bucket_of(shared: &Shared, parts: &Parts) -> Option<BucketName> {
    let host = request_host(&RequestHead::from(parts)).ok()?.unwrap_or_default();
    if let Some(website) = shared.config.website_domains.bucket_of(host) {
        return BucketName::new(website).ok();
    }
    match Address::resolve(&shared.config.domains, host, parts.uri.path()).ok()? {
        Address::Service => None,
        Address::Bucket(bucket) | Address::Object(bucket, _) => Some(bucket),
    }
}

/// A refused signature with what AWS tells its sender about it.
fn refusal(head: RequestHead<'_>, now: SystemTime, error: AuthError) -> S3Error {
    let fields = explain(head, now, &error);
    fields.into_iter().fold(S3Error::from(error), |error, (name, value)| error.field(name, value))
}

/// The address and the operation of a request.
fn resolve(shared: &Shared, parts: &Parts, host: &str, query: &Query<'_>) -> S3Result<(Operation, Address)> {
    let path = parts.uri.path();
    if path == "/WriteGetObjectResponse" && parts.method == Method::POST {
        return Ok((Operation::WriteGetObjectResponse, Address::Service));
    }
    let address = Address::resolve(&shared.config.domains, host, path)?;
    let scope = match &address {
        Address::Service => Scope::Service,
        Address::Bucket(_) => Scope::Bucket,
        Address::Object(..) => Scope::Object,
    };
    Ok((route(&parts.method, scope, query, &parts.headers)?, address))
}
