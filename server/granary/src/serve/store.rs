//! Opens the store behind the server.

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use granary_auth::Verifier;
use http::{Response, StatusCode};

use super::dispatch::{Readiness, Routes};
use crate::config::Config;

/// The open store.
pub struct Store;

impl Store {
    /// Closes it, after the last request.
    pub async fn close(self) {}
}

/// Opens the drives and the metadata and recovers what a crash left.
///
/// # Errors
/// Drives or metadata that are missing, foreign or damaged beyond what the erasure code bears.
pub async fn open(_config: &Config, _verifier: Arc<Verifier>) -> Result<(Routes, Store)> {
    // The engine is not wired yet: every request says so, and the server never says that it is ready.
    let not_implemented = || {
        Router::new().fallback(|| async {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
            response
        })
    };
    let readiness = Arc::new(|| Readiness::NotReady("the engine is not wired".to_owned()));
    Ok((Routes { s3: not_implemented(), admin: not_implemented(), readiness }, Store))
}
