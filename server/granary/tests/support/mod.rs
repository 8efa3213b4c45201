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

/// The default limits.
pub(crate) fn limits() -> Limits {
    Limits::from(&Settings::default())
}

/// An accept loop on a free port.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<Drain>,
}

impl Running {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::start_with(limits, None).await
    }

    /// One whose store is not open yet.
    pub(crate) async fn start_closed(limits: Limits) -> Self {
        Self::start_app(limits, None, App::new(None, &limits))
    }

    pub(crate) async fn start_with(limits: Limits, tls: Option<TlsAcceptor>) -> Self {
        let app = App::new(None, &limits);
        app.open(Routes {
            s3: echo("s3"),
            admin: echo("admin"),
            iam: echo("iam"),
            readiness: watch::channel(Readiness::Ready).1,
        });
        Self::start_app(limits, tls, app)
    }

    fn start_app(limits: Limits, tls: Option<TlsAcceptor>, app: App) -> Self {
        let listening = listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listening.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(listener::run(listening, tls, Arc::new(app), limits, stopped));
        Self { address, stop, task }
    }

    /// Gives the signal to stop; the future is the drain.
    pub(crate) fn stop(self) -> impl Future<Output = Drain> {
        self.stop.send(true).unwrap();
        async move { self.task.await.unwrap() }
    }
}

/// Answers with its name and the path; `/slow` takes a second, `…/read-body` tells how reading the body ended,
/// `/big` is 64 MiB.
fn echo(name: &'static str) -> Router {
    Router::new().fallback(move |request: Request<Body>| async move {
        let path = request.uri().path().to_owned();
        if path == "/slow" {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if path.ends_with("/read-body") {
            return match request.into_body().collect().await {
                Ok(body) => format!("body of {} bytes", body.to_bytes().len()),
                Err(error) => format!("body failed: {error}"),
            };
        }
        if path == "/big" {
            return "x".repeat(64 * 1024 * 1024);
        }
        format!("{name} {path}")
    })
}

/// All bytes until the end of the stream, or its reset; a stream that stays open fails the test.
pub(crate) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    let _ = tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
