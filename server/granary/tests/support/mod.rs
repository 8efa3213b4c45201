//! A running accept loop over a small stand-in for the store.
#![allow(dead_code)] // Each test file uses its own part of this.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use granary_server::config::Settings;
use granary_server::serve::dispatch::{App, Readiness, Routes};
use granary_server::serve::limits::Limits;
use granary_server::serve::listener::{self, Drain};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// How long something is waited for that has to happen by itself, on however loaded a machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// Longer than any test waits.
const NEVER: Duration = Duration::from_hours(1);

/// The default limits, but for time: what ends in a test is ended by what that test sets.
pub(crate) fn limits() -> Limits {
    Limits {
        first_byte_timeout: NEVER,
        header_timeout: NEVER,
        stall_timeout: NEVER,
        drain_timeout: PATIENCE,
        ..Limits::from(&Settings::default())
    }
}

/// An accept loop on a free port.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<Drain>,
    gate: Gate,
}

/// Requests that wait to be let on.
#[derive(Clone)]
struct Gate {
    /// How many have come here.
    come: watch::Sender<usize>,
    is_open: watch::Sender<bool>,
}

impl Gate {
    fn closed() -> Self {
        Self { come: watch::Sender::new(0), is_open: watch::Sender::new(false) }
    }

    async fn pass(&self) {
        self.come.send_modify(|count| *count += 1);
        let mut opened = self.is_open.subscribe();
        let _ = opened.wait_for(|is_open| *is_open).await;
    }
}

impl Running {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::start_with(limits, None).await
    }

    /// One whose store is not open yet.
    pub(crate) async fn start_closed(limits: Limits) -> Self {
        Self::start_app(limits, None, App::new(None, &limits), Gate::closed())
    }

    pub(crate) async fn start_with(limits: Limits, tls: Option<TlsAcceptor>) -> Self {
        let (app, gate) = (App::new(None, &limits), Gate::closed());
        app.open(Routes {
            s3: echo("s3", gate.clone()),
            admin: echo("admin", gate.clone()),
            iam: echo("iam", gate.clone()),
            readiness: watch::channel(Readiness::Ready).1,
        });
        Self::start_app(limits, tls, app, gate)
    }

    fn start_app(limits: Limits, tls: Option<TlsAcceptor>, app: App, gate: Gate) -> Self {
        let listening = listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listening.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(listener::run(listening, tls, Arc::new(app), limits, stopped));
        Self { address, stop, task, gate }
    }

    /// Waits until so many requests have begun that are held up.
    pub(crate) async fn held_up(&self, count: usize) {
        let mut come = self.gate.come.subscribe();
        let waiting = come.wait_for(|come| *come >= count);
        let held_up = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(held_up.is_ok(), "{count} requests are not held up in {PATIENCE:?}");
    }

    /// What lets them go on.
    pub(crate) fn opening(&self) -> impl FnOnce() + use<> {
        let is_open = self.gate.is_open.clone();
        move || {
            is_open.send_replace(true);
        }
    }

    /// Gives the signal to stop; the future is the drain.
    pub(crate) fn stop(self) -> impl Future<Output = Drain> {
        self.stop.send(true).unwrap();
        async move { self.task.await.unwrap() }
    }
}

/// Answers with its name and the path; `/held` waits to be let on, `…/read-body` tells how reading the body ended, and that it has
/// begun, `/big` is 64 MiB.
fn echo(name: &'static str, gate: Gate) -> Router {
    Router::new().fallback(move |request: Request<Body>| {
        let gate = gate.clone();
        async move {
            let path = request.uri().path().to_owned();
            if path == "/held" {
                gate.pass().await;
            }
            if path.ends_with("/read-body") {
                gate.come.send_modify(|count| *count += 1);
                return match request.into_body().collect().await {
                    Ok(body) => format!("body of {} bytes", body.to_bytes().len()),
                    Err(error) => format!("body failed: {error}"),
                };
            }
            if path == "/big" {
                return "x".repeat(64 * 1024 * 1024);
            }
            format!("{name} {path}")
        }
    })
}

/// All bytes until the end of the stream, or its reset; a stream that stays open fails the test.
pub(crate) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    let is_read = tokio::time::timeout(PATIENCE, reading).await.is_ok();
    assert!(is_read, "the stream stays open, after {:?}", String::from_utf8_lossy(&bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
