//! Where a request goes: the health pages, the admin API, the IAM and STS APIs, or S3.
//!
//! The health pages and `/metrics` share their paths with the names of buckets. They are served to requests that carry
//! no authentication; a signed request to the same path is S3's.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use granary_s3::address::VirtualHostDomains;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http_body_util::BodyExt;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;
use tower_http::timeout::TimeoutBody;

use super::limits::Limits;
use super::refusal::{head_too_large, no_host};

/// The prefix of the admin API. No bucket name can hold an underscore.
const ADMIN_PREFIX: &str = "/_granary/";

/// Whether the store can take requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// It cannot, and why; told to anyone who asks, so without internals.
    NotReady(String),
}

/// Holds the readiness, as it was found last.
pub type ReadinessWatch = watch::Receiver<Readiness>;

/// What the open store serves.
#[derive(Clone)]
pub struct Routes {
    /// The S3 protocol.
    pub s3: Router,
    /// The admin API.
    pub admin: Router,
    /// The IAM and STS APIs.
    pub iam: Router,
    /// Whether requests can be taken.
    pub readiness: ReadinessWatch,
}

/// Everything a request can reach. Until the store is open, that is the health pages and 503 for the rest.
pub struct App {
    routes: OnceLock<Routes>,
    metrics: Option<PrometheusHandle>,
    /// Who writes the metrics out now.
    scrapes: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    stall_timeout: Duration,
    max_header_bytes: usize,
    /// Their hosts have every path for pages, and none for the health pages, the metrics and the admin API.
    websites: VirtualHostDomains,
}

impl App {
    /// An app whose store is still to be opened.
    #[must_use]
    pub fn new(metrics: Option<PrometheusHandle>, limits: &Limits) -> Self {
        Self {
            routes: OnceLock::new(),
            metrics,
            scrapes: Arc::new(Semaphore::new(1)),
            requests: Arc::new(Semaphore::new(limits.max_requests)),
            stall_timeout: limits.stall_timeout,
            max_header_bytes: limits.max_header_bytes,
            websites: VirtualHostDomains::default(),
        }
    }

    /// Serves the websites of buckets on the subdomains of `domains`.
    #[must_use]
    pub fn with_websites(self, domains: VirtualHostDomains) -> Self {
        Self { websites: domains, ..self }
    }

    /// Begins to serve the store. Of several calls, the first counts.
    pub fn open(&self, routes: Routes) {
        let _ = self.routes.set(routes);
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes, Error = hyper::Error> + Send + 'static,
    {
        if head_bytes(&request) > self.max_header_bytes {
            return head_too_large(self.max_header_bytes);
        }
        let host = host_of(&request);
        if host.is_none() && request.version() == Version::HTTP_11 {
            return no_host();
        }
        let is_website = host.is_some_and(|host| self.websites.bucket_of(host).is_some());
        if !is_website
            && let Some(page) = operations_page(&request)
            && let Some(response) = self.show(page).await
        {
            return response;
        }
        let Ok(permit) = Arc::clone(&self.requests).try_acquire_owned() else {
            metrics::counter!("granary_requests_refused_total").increment(1);
            return slow_down();
        };
        let Some(routes) = self.routes.get() else { return slow_down() };
        let is_admin = !is_website && request.uri().path().starts_with(ADMIN_PREFIX);
        let is_iam = !is_website
            && granary_iam::api::is_query(request.method(), request.uri().path(), request.headers());
        let router = match (is_admin, is_iam) {
            (true, _) => routes.admin.clone(),
            (false, true) => routes.iam.clone(),
            (false, false) => routes.s3.clone(),
        };
        // A client that stops sending ends its request; the limit is on each step, not on the whole body. S3 keeps
        // it itself, as it has an error of its own for that.
        let request = request.map(|body| match is_admin || is_iam {
            true => Body::new(TimeoutBody::new(self.stall_timeout, body)),
            false => Body::new(body),
        });
        let response = match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        response.map(|body| hold_while_sending(body, permit))
    }

    fn readiness(&self) -> Readiness {
        match self.routes.get() {
            Some(routes) => routes.readiness.borrow().clone(),
            None => Readiness::NotReady("the store is being opened".to_owned()),
        }
    }

    /// A page, if this server has it.
    async fn show(&self, page: Page) -> Option<Response> {
        match page {
            Page::Live => Some(plain(StatusCode::OK, "live\n")),
            Page::Ready => Some(match self.readiness() {
                Readiness::Ready => plain(StatusCode::OK, "ready\n"),
                Readiness::NotReady(reason) => {
                    let mut response =
                        plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n"));
                    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                    response
                }
            }),
            Page::Metrics => Some(self.scrape(self.metrics.clone()?).await),
        }
    }

    /// Writes all metrics out. That takes milliseconds, which the threads that serve clients do not have; and anybody may ask for
    /// it, so one is written at a time.
    async fn scrape(&self, metrics: PrometheusHandle) -> Response {
        let Ok(turn) = Arc::clone(&self.scrapes).acquire_owned().await else { return slow_down() };
        let writing = tokio::task::spawn_blocking(move || {
            // Also kept where nobody waits for the answer any more.
            let _turn = turn;
            metrics.render()
        });
        match writing.await {
            Ok(text) => plain(StatusCode::OK, text),
            Err(error) => {
                tracing::error!(%error, "the metrics could not be written out");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written out\n")
            }
        }
    }
}

/// A page for who operates the server, which nobody signs in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Live,
    Ready,
    Metrics,
}

/// Which page a request is for. One that is signed is for a bucket of that name.
fn operations_page<B>(request: &Request<B>) -> Option<Page> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_signed = request.headers().contains_key(AUTHORIZATION) || request.uri().query().is_some();
    if !is_read || is_signed {
        return None;
    }
    match request.uri().path() {
        "/health/live" => Some(Page::Live),
        "/health/ready" => Some(Page::Ready),
        "/metrics" => Some(Page::Metrics),
        _ => None,
    }
}

/// Keeps the request's permit until its answer has been sent or dropped.
fn hold_while_sending(body: Body, permit: OwnedSemaphorePermit) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _ = &permit;
        frame
    }))
}

/// The host a request is for; S3 looks more closely.
fn host_of<B>(request: &Request<B>) -> Option<&str> {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| request.uri().authority().map(http::uri::Authority::as_str))
}

/// What the head takes as text, about: the request line and each header with its separators.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let line = request.method().as_str().len()
        + request.uri().path_and_query().map_or(0, |target| target.as_str().len())
        + "  HTTP/1.1\r\n".len();
    request
        .headers()
        .iter()
        .fold(line, |sum, (name, value)| sum + name.as_str().len() + value.len() + ": \r\n".len())
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// S3's answer to requests that it cannot take now: clients back off and try again.
fn slow_down() -> Response {
    const BODY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code>\
                        <Message>Please reduce your request rate.</Message></Error>";
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, BODY);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
