//! Opens the store behind the server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use granary_auth::{Account, RegionPolicy, Verifier};
use granary_engine::{
    CodeRule, DayLength, DefaultEncryption, Engine, EngineOptions, Profile, TierRule, WhenFull,
    measure_acceleration,
};
use granary_iam::{IdentityStore, Root};
use granary_s3::address::VirtualHostDomains;
use granary_s3::{
    Accounts, CustomerKeyTransport, PublicAccess, S3Config, S3State, SignatureV2, UnknownLength,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::backend::EngineBackend;
use super::dispatch::{Readiness, Routes};
use super::issuers::Issuers;
use crate::config::{Config, FullSetting, warm_options};
use crate::keyring::LoadedKeyRing;
use crate::notify;

/// How often readiness is looked at; `/health/ready` tells what was found last.
const READINESS_INTERVAL: Duration = Duration::from_secs(1);

/// How long a server that ends tries to keep when access keys were used.
const KEEPING_USAGE: Duration = Duration::from_secs(2);

/// The open store.
pub struct Store {
    engine: Engine,
    identities: IdentityStore,
    watching: JoinHandle<()>,
    following: JoinHandle<()>,
    notifying: Vec<JoinHandle<()>>,
    s3: S3State,
    logging: JoinHandle<()>,
    listing: JoinHandle<()>,
}

impl Store {
    /// Closes it, after the last request.
    ///
    /// # Errors
    /// When the last changes cannot be written.
    pub async fn close(self) -> Result<()> {
        self.watching.abort();
        self.following.abort();
        // Not worth waiting for a database that is away.
        match tokio::time::timeout(KEEPING_USAGE, self.identities.keep_usage()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "when access keys were used last could not be kept"),
            Err(_elapsed) => warn!("when access keys were used last could not be kept in time"),
        }
        for task in &self.notifying {
            task.abort();
        }
        self.logging.abort();
        self.listing.abort();
        self.s3.deliver_logs().await;
        self.engine.close().await.context("closing the store")
    }
}

/// Opens the drives and the metadata and recovers what a crash left.
///
/// # Errors
/// Drives or metadata that are missing, foreign or damaged beyond what the erasure code bears.
pub async fn open(config: &Config, root: Root, keyring: Option<LoadedKeyRing>) -> Result<(Routes, Store)> {
    check_acceleration();
    raise_open_files_limit();
    let mut options = options(config)?;
    if let Some(keyring) = keyring {
        options.keys = keyring.ring;
    }
    let engine = Engine::open(options).await.context("opening the store")?;
    info!(cluster = %engine.cluster(), erasure = %engine.profile(), drives = config.drives.len(), "store open");
    let (ready, readiness) = watch::channel(readiness(&engine).await);
    let watching = tokio::spawn(watch_readiness(engine.clone(), ready));
    let s3 = S3Config {
        region: config.settings.region.clone(),
        domains: VirtualHostDomains::new(config.settings.domain.iter().cloned()),
        website_domains: VirtualHostDomains::new(config.settings.website_domain.iter().cloned()),
        body_idle_ms: config.settings.stall_timeout_ms,
        node: engine.cluster().to_string(),
        customer_keys: customer_keys(config),
        signature_v2: match config.settings.allow_signature_v2 {
            true => SignatureV2::Accepted,
            false => SignatureV2::Refused,
        },
        unknown_length: unknown_length(config),
        dialect: config.settings.dialect,
        notification_targets: notify::target_names(&config.settings),
        default_encryption: config.settings.encrypt_by_default.then_some(DefaultEncryption::Managed),
        ownership: config.settings.default_object_ownership,
        transition_minimum: config.settings.transition_default_minimum_object_size,
        public_access: match config.settings.default_block_public_access {
            true => PublicAccess::Blocked,
            false => PublicAccess::Open,
        },
        ..S3Config::default()
    };
    let own = Account {
        id: s3.account_id.clone(),
        canonical_id: s3.owner_id.clone(),
        display_name: "granary".to_owned(),
        email: None,
    };
    let identities =
        IdentityStore::open(engine.clone(), root, own).await.context("loading the identities")?;
    identities.fetch_keys_with(Arc::new(Issuers::new(&config.settings)?));
    engine.limit_owners(Arc::new(super::quotas::Owners(identities.clone())));
    let following = tokio::spawn({
        let identities = identities.clone();
        async move { identities.follow().await }
    });
    let regions = RegionPolicy::OneOf(vec![config.settings.region.clone()]);
    let verifier = Arc::new(Verifier::new(Arc::new(identities.clone()), regions));
    // IAM and the admin API are in no region, and their clients sign for all kinds.
    let anywhere = Arc::new(Verifier::new(Arc::new(identities.clone()), RegionPolicy::Any));
    let s3 = S3Config { accounts: Some(Accounts(Arc::new(identities.clone()))), ..s3 };
    let notifying = notify::start(config, &engine, &s3)?;
    let state =
        S3State::new(engine.clone(), verifier, s3, random_seed()?).context("starting the hashing threads")?;
    let interval = Duration::from_millis(config.settings.access_log_interval_ms);
    let logging = tokio::spawn(state.clone().deliver_logs_forever(interval));
    let day = config.settings.debug_lifecycle_day_seconds.unwrap_or(24 * 60 * 60);
    let listing = tokio::spawn(state.clone().make_inventories_forever(Duration::from_secs(day)));
    let backend = Arc::new(EngineBackend { engine: engine.clone(), identities: identities.clone() });
    let routes = Routes {
        s3: granary_s3::router(state.clone()),
        admin: granary_admin::router(backend, Arc::clone(&anywhere)),
        iam: granary_iam::api::router(identities.clone(), anywhere),
        readiness,
    };
    Ok((routes, Store { engine, identities, watching, following, notifying, s3: state, logging, listing }))
}

fn unknown_length(config: &Config) -> UnknownLength {
    match config.settings.allow_unknown_length {
        true => UnknownLength::Accepted,
        false => UnknownLength::Refused,
    }
}

/// Keys of clients come over TLS, or over plain HTTP where the operator says that this is safe.
fn customer_keys(config: &Config) -> CustomerKeyTransport {
    if config.tls.is_some() || config.settings.allow_sse_c_over_http {
        CustomerKeyTransport::Accepted
    } else {
        CustomerKeyTransport::Refused
    }
}

fn options(config: &Config) -> Result<EngineOptions> {
    let mut options = EngineOptions::new(config.drives.clone());
    let settings = &config.settings;
    options.metadata =
        settings.metadata.choice().map_err(anyhow::Error::msg).context("the metadata setting")?;
    options.node = match &config.node {
        Some(node) => Some(node.options(|name| std::env::var(name).ok())?),
        None => None,
    };
    options.grace = Duration::from_millis(settings.grace_ms);
    options.maintenance_interval = Duration::from_millis(settings.maintenance_interval_ms);
    options.volume_limit_bytes = settings.volume_limit_bytes;
    options.backup_interval = Duration::from_millis(settings.metadata_backup_interval_ms);
    if let Some(seconds) = settings.debug_lifecycle_day_seconds {
        options.lifecycle_day = DayLength::Debug(Duration::from_secs(seconds));
    }
    options.event_targets = notify::target_names(settings);
    options.move_rate_bytes = settings.move_rate_bytes;
    options.backups_kept = settings.metadata_backups_kept;
    options.warm = warm_options(settings);
    if let Some(erasure) = config.settings.erasure {
        options.erasure = Some(Profile::new(erasure.data(), erasure.parity()).context("the erasure code")?);
    }
    options.drive_classes = config.drive_classes.clone();
    options.when_ssd_full = match config.settings.when_ssd_full {
        FullSetting::Refuse => WhenFull::Refuse,
        FullSetting::Spill => WhenFull::Spill,
    };
    for tier in &config.tiers {
        let code = match tier.erasure {
            Some(code) => CodeRule::Fixed(
                Profile::new(code.data(), code.parity()).context("the erasure code of a storage class")?,
            ),
            None => TierRule::of(tier.class).code,
        };
        options.tiers.push((tier.class, TierRule { drives: tier.drives, code }));
    }
    Ok(options)
}

/// Every volume keeps files open on several drives; the usual soft limit of 1,024 is too few, the hard one is not.
fn raise_open_files_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, "the limit of open files could not be raised");
    }
}

/// Says whether the vector kernel of the erasure code is really in use: without it, writes are several times slower.
fn check_acceleration() {
    let measured = measure_acceleration();
    if measured.is_accelerated() {
        info!(speedup = measured.speedup, "the erasure code is accelerated");
    } else {
        warn!(
            speedup = measured.speedup,
            "the erasure code is NOT accelerated on this machine; writes are slow"
        );
    }
}

fn random_seed() -> Result<u64> {
    getrandom::u64().map_err(|error| anyhow::anyhow!("the system's random numbers: {error}"))
}

async fn watch_readiness(engine: Engine, ready: watch::Sender<Readiness>) {
    loop {
        tokio::time::sleep(READINESS_INTERVAL).await;
        let found = readiness(&engine).await;
        ready.send_if_modified(|known| {
            let is_new = *known != found;
            *known = found;
            is_new
        });
    }
}

async fn readiness(engine: &Engine) -> Readiness {
    if engine.is_ready().await {
        Readiness::Ready
    } else {
        Readiness::NotReady("the metadata does not answer, or no drive is usable".to_owned())
    }
}
