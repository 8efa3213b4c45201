//! The settings of `serve`.
//!
//! They come, the later the stronger, from the defaults, a TOML file (`--config`), the environment (`GRANARY_…`) and
//! the command line. Everything is validated before anything is started; `granary config check` does only that.

mod brace;
mod dialect;
mod erasure;
mod lists;
mod metadata;
mod node;
mod report;
mod tier;
mod warm;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use granary_s3::{Dialect, ObjectOwnership, TransitionMinimum};
use granary_types::DriveClass;
use serde::{Deserialize, Serialize};

use crate::notify::TargetSetting;
use crate::telemetry::LogFormat;
pub use dialect::DialectSettings;
pub use erasure::ErasureSetting;
pub use metadata::MetadataSetting;
pub use node::{NodeConfig, NodeSettings};
pub use report::report;
pub use tier::{FullSetting, TierSetting};
pub use warm::{WarmSettings, warm_options};

/// The keys that the environment may set, as `GRANARY_<KEY>`. Other `GRANARY_` variables are not settings.
const KEYS: &[&str] = &[
    "data",
    "metadata",
    "listen",
    "erasure",
    "tier",
    "when_ssd_full",
    "warm_bytes",
    "promote_reads",
    "cache_reads",
    "promote_window_seconds",
    "demote_after_seconds",
    "region",
    "domain",
    "website_domain",
    "tls_cert",
    "tls_key",
    "log",
    "log_format",
    "max_connections",
    "max_requests",
    "first_byte_timeout_ms",
    "header_timeout_ms",
    "stall_timeout_ms",
    "drain_timeout_ms",
    "max_header_bytes",
    "h2_max_streams",
    "workers",
    "grace_ms",
    "maintenance_interval_ms",
    "volume_limit_bytes",
    "node_listen",
    "node_address",
    "cluster_secret_file",
    "node_tls_cert",
    "node_tls_key",
    "node_tls_ca",
    "node_tls_name",
    "move_rate_bytes",
    "zone",
    "join",
    "pack_alone",
    "metadata_backup_interval_ms",
    "metadata_backups_kept",
    "debug_lifecycle_day_seconds",
    "keyring",
    "encrypt_by_default",
    "allow_sse_c_over_http",
    "allow_signature_v2",
    "allow_unknown_length",
    "dialect",
    "default_object_ownership",
    "default_block_public_access",
    "transition_default_minimum_object_size",
    "notify",
    "notify_secret_file",
    "notify_allow_private",
    "notify_ca_cert",
    "notify_queue_max",
    "identity_provider_allow_private",
    "identity_provider_ca_cert",
    "access_log_interval_ms",
];

/// Settings as written, before validation of what belongs together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Drive directories; brace ranges are expanded, and `ssd:` or `hdd:` before one tells its class.
    #[serde(deserialize_with = "lists::one_or_many")]
    pub data: Vec<String>,
    /// The address to serve S3 at.
    pub listen: SocketAddr,
    /// Where the metadata is.
    pub metadata: MetadataSetting,
    /// `k+m`; by the number of drives if unset.
    pub erasure: Option<ErasureSetting>,
    /// Where storage classes lie, as `CLASS=DRIVES` or `CLASS=DRIVES:k+m`.
    #[serde(deserialize_with = "lists::one_or_many")]
    pub tier: Vec<String>,
    /// What becomes of writes to SSDs that are full.
    pub when_ssd_full: FullSetting,
    /// Bytes of copies on SSDs that were prefetched or are read often; a fifth of the SSDs if unset.
    pub warm_bytes: Option<u64>,
    /// So many reads give an INTELLIGENT_TIERING object a copy on SSDs; 0 is never.
    pub promote_reads: u32,
    /// So many reads give an object of another class on disks a copy; 0 is never.
    pub cache_reads: u32,
    /// After so long a read counts half.
    pub promote_window_seconds: u64,
    /// After so long without a read such a copy goes.
    pub demote_after_seconds: u64,
    /// The region that the store is in; requests must be signed for it.
    pub region: String,
    /// Domains whose subdomains are bucket names.
    #[serde(deserialize_with = "lists::one_or_many")]
    pub domain: Vec<String>,
    /// Domains whose subdomains are the websites of buckets.
    #[serde(deserialize_with = "lists::one_or_many")]
    pub website_domain: Vec<String>,
    /// PEM file with the certificate chain.
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the private key.
    pub tls_key: Option<PathBuf>,
    /// What to log, e.g. `info,granary_engine=debug`.
    pub log: String,
    /// How to log it.
    pub log_format: LogFormat,
    /// Connections at a time; above that they get 503.
    pub max_connections: usize,
    /// Requests at a time over all connections; above that they get 503.
    pub max_requests: usize,
    /// How long a connection may take to send its first bytes, TLS handshake included.
    pub first_byte_timeout_ms: u64,
    /// How long a request's head may take, and how long a connection may idle between requests.
    pub header_timeout_ms: u64,
    /// How long a body may make no progress in either direction.
    pub stall_timeout_ms: u64,
    /// How long requests in progress may take after SIGTERM.
    pub drain_timeout_ms: u64,
    /// The size of a request's head.
    pub max_header_bytes: usize,
    /// HTTP/2 requests at a time on one connection.
    pub h2_max_streams: u32,
    /// Worker threads; 0 is one per core.
    pub workers: usize,
    /// How long freed data and uncommitted tails are kept before their room is used again.
    pub grace_ms: u64,
    /// How often the background work looks for something to do.
    pub maintenance_interval_ms: u64,
    /// A volume whose shard files reach this length takes no more.
    pub volume_limit_bytes: u64,
    /// Where other nodes of the store are listened to; unset for a store on one machine.
    pub node_listen: Option<SocketAddr>,
    /// What other nodes connect to, `host:port`; as `node_listen` if unset.
    pub node_address: Option<String>,
    /// A file with the secret that all nodes share.
    pub cluster_secret_file: Option<PathBuf>,
    /// PEM file with this node's certificate for other nodes.
    pub node_tls_cert: Option<PathBuf>,
    /// PEM file with its private key.
    pub node_tls_key: Option<PathBuf>,
    /// PEM file with the authority that signed the certificates of all nodes.
    pub node_tls_ca: Option<PathBuf>,
    /// The name that the certificates of all nodes carry.
    pub node_tls_name: String,
    /// Bytes a second that are moved at most to empty drives and to make them equally full.
    pub move_rate_bytes: u64,
    /// What fails together with this node, a rack or a site.
    pub zone: String,
    /// Whether empty drives may join the store that the database belongs to.
    pub join: bool,
    /// Whether small objects are packed on this node only.
    pub pack_alone: bool,
    /// How often the metadata is backed up to the drives; 0 is never.
    pub metadata_backup_interval_ms: u64,
    /// How many of these backups are kept.
    pub metadata_backups_kept: usize,
    /// For tests: how long a day of a lifecycle rule is. Unset, a day is a day.
    pub debug_lifecycle_day_seconds: Option<u64>,
    /// The file with the keys that objects are encrypted under; on the drives themselves if unset.
    pub keyring: Option<PathBuf>,
    /// Whether objects are encrypted whose bucket and request say nothing of it.
    pub encrypt_by_default: bool,
    /// Whether clients may send keys of their own without TLS: where a proxy before this server ends it.
    pub allow_sse_c_over_http: bool,
    /// Whether requests may be signed with Signature Version 2, which AWS has retired and which covers less of them.
    pub allow_signature_v2: bool,
    /// Whether objects and parts may be sent without their length, in chunks of HTTP, which AWS refuses.
    pub allow_unknown_length: bool,
    /// Whose rules hold where Amazon S3 and Ceph's object gateway disagree.
    pub dialect: Dialect,
    /// Who owns the objects of new buckets, and whether access control lists count there.
    pub default_object_ownership: ObjectOwnership,
    /// Whether public access to new buckets is blocked.
    pub default_block_public_access: bool,
    /// Which objects are too small to be moved by lifecycle rules that do not say.
    pub transition_default_minimum_object_size: TransitionMinimum,
    /// Where buckets may have their events sent; the same on all nodes.
    #[serde(deserialize_with = "lists::one_or_many_of")]
    pub notify: Vec<TargetSetting>,
    /// A file with the secrets that messages to them are signed with.
    pub notify_secret_file: Option<PathBuf>,
    /// Whether they may be on this machine or in private networks, and be spoken to without TLS.
    pub notify_allow_private: bool,
    /// PEM file with certificates to trust there, beside those that the machine trusts.
    pub notify_ca_cert: Option<PathBuf>,
    /// How many events may wait for each of them.
    pub notify_queue_max: u32,
    /// Whether the OpenID Connect providers of accounts may be on this machine or in private networks.
    pub identity_provider_allow_private: bool,
    /// PEM file with certificates to trust there, beside those that the machine trusts.
    pub identity_provider_ca_cert: Option<PathBuf>,
    /// How often the access logs of buckets are delivered.
    pub access_log_interval_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: Vec::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            metadata: MetadataSetting::EMBEDDED,
            erasure: None,
            tier: Vec::new(),
            when_ssd_full: FullSetting::Refuse,
            warm_bytes: None,
            promote_reads: 3,
            cache_reads: 2,
            promote_window_seconds: 86_400,
            demote_after_seconds: 7 * 86_400,
            region: "us-east-1".to_owned(),
            domain: Vec::new(),
            website_domain: Vec::new(),
            tls_cert: None,
            tls_key: None,
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            max_connections: 4096,
            max_requests: 1024,
            first_byte_timeout_ms: 10_000,
            header_timeout_ms: 30_000,
            stall_timeout_ms: 60_000,
            drain_timeout_ms: 30_000,
            max_header_bytes: 16 * 1024,
            h2_max_streams: 128,
            workers: 0,
            grace_ms: 600_000,
            maintenance_interval_ms: 2_000,
            volume_limit_bytes: 1 << 30,
            node_listen: None,
            node_address: None,
            cluster_secret_file: None,
            node_tls_cert: None,
            node_tls_key: None,
            node_tls_ca: None,
            node_tls_name: "granary".to_owned(),
            move_rate_bytes: 500_000_000,
            zone: String::new(),
            join: false,
            pack_alone: false,
            metadata_backup_interval_ms: 6 * 3_600_000,
            metadata_backups_kept: 4,
            debug_lifecycle_day_seconds: None,
            keyring: None,
            encrypt_by_default: false,
            allow_sse_c_over_http: false,
            allow_signature_v2: false,
            allow_unknown_length: false,
            dialect: Dialect::default(),
            default_object_ownership: ObjectOwnership::default(),
            default_block_public_access: true,
            transition_default_minimum_object_size: TransitionMinimum::default(),
            notify: Vec::new(),
            notify_secret_file: None,
            notify_allow_private: false,
            notify_ca_cert: None,
            notify_queue_max: 100_000,
            identity_provider_allow_private: false,
            identity_provider_ca_cert: None,
            access_log_interval_ms: 60_000,
        }
    }
}

/// Both halves of a TLS identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// Settings that passed validation.
#[derive(Clone, Debug)]
pub struct Config {
    /// Drive directories, expanded, each once.
    pub drives: Vec<PathBuf>,
    /// The classes of those drives that were given one.
    pub drive_classes: HashMap<PathBuf, DriveClass>,
    /// Where storage classes lie that were mapped, in the order given.
    pub tiers: Vec<TierSetting>,
    /// What makes it a node, if it is one.
    pub node: Option<NodeConfig>,
    /// TLS, if both files are given.
    pub tls: Option<TlsFiles>,
    /// Everything else as written.
    pub settings: Settings,
}

impl Config {
    /// Gathers and validates the settings. `overrides` are those given on the command line.
    ///
    /// # Errors
    /// A file that cannot be read, unknown keys, values out of bounds, settings that contradict each other.
    pub fn load(file: Option<&Path>, overrides: &impl Serialize) -> Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Settings::default()));
        if let Some(file) = file {
            ensure!(file.is_file(), "the configuration file {} does not exist", file.display());
            figment = figment.merge(Toml::file_exact(file));
        }
        let figment =
            figment.merge(Env::prefixed("GRANARY_").only(KEYS)).merge(Serialized::defaults(overrides));
        Self::validate(figment.extract().context("the configuration")?)
    }

    /// Checks what no single setting shows.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(settings: Settings) -> Result<Self> {
        let (drives, drive_classes) = expand_classed(&settings.data)?;
        let tiers = settings.tier.iter().map(|text| text.parse().map_err(anyhow::Error::msg));
        let tiers = tiers.collect::<Result<Vec<TierSetting>>>().context("the tiers")?;
        ensure!(!drives.is_empty(), "no drive is given: use --data DIRECTORY, once for each drive");
        let node = NodeConfig::of(&settings)?;
        if let Some(erasure) = settings.erasure.filter(|_| node.is_none()) {
            ensure!(
                erasure.drives() <= drives.len(),
                "the erasure code {erasure} needs {} drives, and {} are given",
                erasure.drives(),
                drives.len()
            );
        }
        let tls = match (&settings.tls_cert, &settings.tls_key) {
            (Some(certificate), Some(key)) => {
                Some(TlsFiles { certificate: certificate.clone(), key: key.clone() })
            }
            (None, None) => None,
            _ => bail!("--tls-cert and --tls-key must be given together"),
        };
        check_names(&settings)?;
        check_bounds(&settings)?;
        Ok(Self { drives, drive_classes, tiers, node, tls, settings })
    }
}

/// Expands the brace ranges of drive paths; each path may be given once. What is said of their classes is left out.
///
/// # Errors
/// A malformed range, an empty path, a path given twice.
pub fn expand_data(patterns: &[String]) -> Result<Vec<PathBuf>> {
    expand_classed(patterns).map(|(drives, _)| drives)
}

/// As [`expand_data`], with the classes of the drives that were given one.
fn expand_classed(patterns: &[String]) -> Result<(Vec<PathBuf>, HashMap<PathBuf, DriveClass>)> {
    let mut drives: Vec<PathBuf> = Vec::new();
    let mut classes = HashMap::new();
    for pattern in patterns {
        let (class, pattern) = tier::classed(pattern)?;
        for path in brace::expand(pattern)? {
            let path = PathBuf::from(path);
            ensure!(!path.as_os_str().is_empty(), "an empty path was given as a drive");
            ensure!(!drives.contains(&path), "the drive {} is given twice", path.display());
            classes.extend(class.map(|class| (path.clone(), class)));
            drives.push(path);
        }
    }
    Ok((drives, classes))
}

fn check_names(settings: &Settings) -> Result<()> {
    let is_word = |text: &str, extra: &[u8]| {
        !text.is_empty()
            && text.len() <= 253
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || extra.contains(&b))
    };
    ensure!(is_word(&settings.region, b"-_"), "{:?} is not a region name", settings.region);
    for domain in settings.domain.iter().chain(&settings.website_domain) {
        ensure!(is_word(domain, b"-.") && !domain.starts_with('.'), "{domain:?} is not a domain name");
    }
    Ok(())
}

fn check_bounds(settings: &Settings) -> Result<()> {
    const HOUR_MS: u64 = 3_600_000;
    let timeouts = [
        ("first_byte_timeout_ms", settings.first_byte_timeout_ms),
        ("header_timeout_ms", settings.header_timeout_ms),
        ("stall_timeout_ms", settings.stall_timeout_ms),
        ("drain_timeout_ms", settings.drain_timeout_ms),
    ];
    for (name, value) in timeouts {
        ensure!((10..=HOUR_MS).contains(&value), "{name} must be from 10 to {HOUR_MS}, not {value}");
    }
    let sizes = [
        ("max_connections", settings.max_connections, 1, 1 << 20),
        ("max_requests", settings.max_requests, 1, 1 << 20),
        ("max_header_bytes", settings.max_header_bytes, 8 * 1024, 128 * 1024),
        ("workers", settings.workers, 0, 1024),
        ("metadata_backups_kept", settings.metadata_backups_kept, 0, 1024),
    ];
    for (name, value, low, high) in sizes {
        ensure!((low..=high).contains(&value), "{name} must be from {low} to {high}, not {value}");
    }
    const DAY_MS: u64 = 24 * HOUR_MS;
    let ranges = [
        ("grace_ms", settings.grace_ms, 100, 30 * DAY_MS),
        ("maintenance_interval_ms", settings.maintenance_interval_ms, 50, HOUR_MS),
        ("metadata_backup_interval_ms", settings.metadata_backup_interval_ms, 0, 30 * DAY_MS),
        ("move_rate_bytes", settings.move_rate_bytes, 1 << 16, 1 << 40),
        ("access_log_interval_ms", settings.access_log_interval_ms, 100, DAY_MS),
        ("volume_limit_bytes", settings.volume_limit_bytes, 1 << 20, 1 << 40),
    ];
    for (name, value, low, high) in ranges {
        ensure!((low..=high).contains(&value), "{name} must be from {low} to {high}, not {value}");
    }
    ensure!(
        settings.notify.is_empty() || settings.notify_secret_file.is_some(),
        "--notify needs --notify-secret-file: messages are signed"
    );
    ensure!(
        (1_000..=10_000_000).contains(&settings.notify_queue_max),
        "notify_queue_max must be from 1000 to 10000000, not {}",
        settings.notify_queue_max
    );
    warm::check(settings)?;
    let debug_day = settings.debug_lifecycle_day_seconds.unwrap_or(1);
    ensure!(
        (1..=86_400).contains(&debug_day),
        "debug_lifecycle_day_seconds must be from 1 to 86400, not {debug_day}"
    );
    ensure!((1..=1024).contains(&settings.h2_max_streams), "h2_max_streams must be from 1 to 1024");
    Ok(())
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
