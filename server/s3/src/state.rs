//! What all requests share.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use granary_auth::{Directory, Verifier};
use granary_engine::{DefaultEncryption, Engine};
use http::HeaderValue;

use crate::address::VirtualHostDomains;
use crate::dialect::Dialect;
use crate::encryption::CustomerKeyTransport;
use crate::lifecycle::TransitionMinimum;
use crate::logs::AccessLogs;
use crate::md5_pool::Md5Pool;
use crate::metrics::OperationMetrics;
use crate::new_buckets::{ObjectOwnership, PublicAccess};
use crate::rates::Rates;
use crate::request_id::RequestIds;

/// How the S3 service presents itself, and its limits.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The region of buckets created without a location.
    pub region: String,
    /// The domains of virtual-host style requests.
    pub domains: VirtualHostDomains,
    /// The domains whose sub-domains are the websites of buckets.
    pub website_domains: VirtualHostDomains,
    /// The canonical id of the account that owns everything, as `<Owner><ID>` shows it.
    pub owner_id: String,
    /// The 12-digit account number that `x-amz-expected-bucket-owner` is compared with.
    pub account_id: String,
    /// The longest time a request's body may bring nothing, in milliseconds.
    pub body_idle_ms: u64,
    /// What names this server in `x-amz-id-2`.
    pub node: String,
    /// Whether keys of clients may come over its connections.
    pub customer_keys: CustomerKeyTransport,
    /// How objects are encrypted where neither the request nor the bucket says anything.
    pub default_encryption: Option<DefaultEncryption>,
    /// Who owns the objects of new buckets whose creator does not say.
    pub ownership: ObjectOwnership,
    /// Whether public access to new buckets is blocked.
    pub public_access: PublicAccess,
    /// Which objects are too small to be moved by lifecycle rules that do not say.
    pub transition_minimum: TransitionMinimum,
    /// Whether requests may be signed with Signature Version 2.
    pub signature_v2: SignatureV2,
    /// Whether the bodies of objects and parts may come without their length.
    pub unknown_length: UnknownLength,
    /// Whose rules hold where Amazon S3 and others disagree.
    pub dialect: Dialect,
    /// Where grants find accounts; without it there is only the account of the root user.
    pub accounts: Option<Accounts>,
    /// The names of the targets that buckets may have their events told to.
    pub notification_targets: Vec<String>,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            domains: VirtualHostDomains::default(),
            website_domains: VirtualHostDomains::default(),
            // AWS's canonical ids are 64 hexadecimal digits; a store of one account has one constant owner.
            owner_id: "0".repeat(64),
            account_id: "000000000000".to_owned(),
            body_idle_ms: 20_000,
            node: "granary".to_owned(),
            customer_keys: CustomerKeyTransport::Refused,
            default_encryption: None,
            ownership: ObjectOwnership::default(),
            public_access: PublicAccess::default(),
            transition_minimum: TransitionMinimum::default(),
            signature_v2: SignatureV2::default(),
            unknown_length: UnknownLength::default(),
            dialect: Dialect::default(),
            accounts: None,
            notification_targets: Vec::new(),
        }
    }
}

/// What becomes of requests that are signed with Signature Version 2, other than forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignatureV2 {
    /// They are refused, as in the regions of AWS that never had it.
    #[default]
    Refused,
    /// They are verified, for clients that know no better.
    Accepted,
}

/// What becomes of an object or a part that comes in chunks of HTTP (`Transfer-Encoding: chunked`), without its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownLength {
    /// It is refused (`MissingContentLength`), as AWS refuses it.
    #[default]
    Refused,
    /// It is taken up to the greatest length, for clients that do not know how much they will send.
    Accepted,
}

/// Where grants find accounts.
#[derive(Clone)]
pub struct Accounts(pub Arc<dyn Directory>);

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Accounts")
    }
}

/// What all requests share. Cheap to clone.
#[derive(Clone)]
pub struct S3State(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) config: S3Config,
    pub(crate) ids: RequestIds,
    pub(crate) host_id: HeaderValue,
    pub(crate) metrics: OperationMetrics,
    pub(crate) md5_pool: Md5Pool,
    pub(crate) rates: Rates,
    pub(crate) access_logs: AccessLogs,
}

impl S3State {
    /// Puts the parts together. Install the metrics recorder before: its handles are taken here. `seed` must be
    /// random; request ids start there.
    ///
    /// # Errors
    /// When the system gives no thread to hash bodies on.
    pub fn new(engine: Engine, verifier: Arc<Verifier>, config: S3Config, seed: u64) -> io::Result<Self> {
        let ids = RequestIds::new(seed, &config.node);
        // Base64 is always a header value.
        let host_id = HeaderValue::from_str(ids.host_id()).unwrap_or(HeaderValue::from_static("-"));
        let metrics = OperationMetrics::new();
        let md5_pool = Md5Pool::start()?;
        let rates = Rates::default();
        let access_logs = AccessLogs::default();
        Ok(Self(Arc::new(Shared {
            engine,
            verifier,
            config,
            ids,
            host_id,
            metrics,
            md5_pool,
            rates,
            access_logs,
        })))
    }
}

impl Shared {
    pub(crate) fn body_idle(&self) -> Duration {
        Duration::from_millis(self.config.body_idle_ms)
    }
}
