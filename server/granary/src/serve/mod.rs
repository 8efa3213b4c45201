//! `granary serve`: opens the store, listens, and stops when told to.

mod backend;
mod buckets;
pub mod connection;
pub mod dispatch;
pub mod expect;
mod identities;
mod issuers;
pub mod limits;
pub mod linger;
pub mod listener;
mod losses;
mod moves;
pub mod protocol;
mod quotas;
pub mod refusal;
mod restores;
pub mod store;
mod tier_jobs;
mod tiers;
pub mod tls;
mod warm;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use granary_auth::SecretKey;
use granary_iam::Root;
use granary_s3::address::VirtualHostDomains;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

use crate::config::Config;
use crate::credentials::{
    ACCESS_KEY_VARIABLE, FILE_NAME, PREVIOUS_SECRET_KEY_VARIABLE, RootCredentials, SECRET_KEY_VARIABLE,
};
use crate::keyring::KeyRingPlace;
use crate::output::print_notice;
use crate::telemetry;
use dispatch::App;
use limits::Limits;
use listener::{Drain, Shutdown};

/// Runs the server until SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps it from starting.
pub async fn serve(config: Config) -> Result<()> {
    telemetry::start_logging(config.settings.log_format, &config.settings.log)?;
    // Handlers first: a signal during a long recovery must end the start as cleanly as it ends the service.
    let shutdown = shutdown_on_signal()?;
    let metrics = telemetry::start_metrics()?;
    let limits = Limits::from(&config.settings);
    let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
    // A drive of another store has other secrets: it is told before they contradict each other.
    granary_engine::check_one_store(&config.drives).context("opening the store")?;
    let root = RootCredentials::find(|name| std::env::var(name).ok(), &config.drives)?;
    if config.node.is_some() && !matches!(root, RootCredentials::Environment(_)) {
        bail!(
            "all nodes of a store need the same root credentials: set {ACCESS_KEY_VARIABLE} and {SECRET_KEY_VARIABLE}"
        );
    }
    let place = KeyRingPlace::of(&config);
    let keyring = place.as_ref().map(KeyRingPlace::load).transpose()?;

    // Listening comes first: a taken port is told before a drive is touched, and whoever watches sees a server that is
    // alive and not ready, however long recovery takes.
    let listening = listener::bind(config.settings.listen)?;
    let address = listening.local_addr().context("the listening address")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let websites = VirtualHostDomains::new(config.settings.website_domain.iter().cloned());
    let app = Arc::new(App::new(Some(metrics), &limits).with_websites(websites));
    let mut stopped = shutdown.clone();
    let accepting = tokio::spawn(listener::run(listening, tls, Arc::clone(&app), limits, shutdown));

    let opened = tokio::select! {
        opened = store::open(&config, identity_root(&root), keyring.clone()) => Some(opened?),
        _ = stopped.wait_for(|stop| *stop) => None,
    };
    if let Some((routes, _)) = &opened {
        root.keep(&config.drives)?;
        show_generated(&root);
        if let (Some(place), Some(keyring)) = (place, keyring) {
            keyring.keep(&place)?;
            tokio::spawn(keyring.follow(place));
        }
        app.open(routes.clone());
        info!(endpoint = format!("{scheme}://{address}"), version = env!("CARGO_PKG_VERSION"), "serving S3");
    }
    let drain = accepting.await.context("the accept loop")?;
    if let Some((_, store)) = opened {
        store.close().await?;
    }
    match drain {
        Drain::Complete => info!("stopped"),
        Drain::CutOff(connections) => info!(connections, "stopped, with connections cut off"),
    }
    Ok(())
}

/// The root user, with its secret before that if it is being changed.
fn identity_root(root: &RootCredentials) -> Root {
    let previous = std::env::var(PREVIOUS_SECRET_KEY_VARIABLE).ok();
    Root { credentials: root.get().clone(), previous_secret: previous.map(SecretKey::new) }
}

fn shutdown_on_signal() -> Result<Shutdown> {
    let mut terminate = signal(SignalKind::terminate()).context("the handler of SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("the handler of SIGINT")?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM: stopping"),
            _ = interrupt.recv() => info!("SIGINT: stopping"),
        }
        let _ = stop.send(true);
        // The channel's end would look like a signal to nobody; this task lives as long as the process.
        std::future::pending::<()>().await;
    });
    Ok(stopped)
}

/// Shows generated credentials, once. They go to standard error and never through the log.
fn show_generated(root: &RootCredentials) {
    let RootCredentials::Generated(credentials) = root else { return };
    print_notice(&format!(
        "Root credentials were generated. They are shown this once, and kept in {FILE_NAME} on each drive:\n\
         \n  {ACCESS_KEY_VARIABLE}={}\n  {SECRET_KEY_VARIABLE}={}\n",
        credentials.access_key,
        credentials.secret_key.expose()
    ));
}
