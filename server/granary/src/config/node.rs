//! What makes a process one of several nodes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use granary_engine::{ClusterSecret, Join, NodeOptions, Packing, SECRET_LENGTH_BYTES_MIN, Tls};
use granary_types::{Release, rehearsed_release};
use serde::Serialize;

use super::{MetadataSetting, Settings};

/// The environment variable with the cluster's secret. It is no setting, so that it is never shown with the others.
const SECRET_VARIABLE: &str = "GRANARY_CLUSTER_SECRET";
const SECRET_LENGTH_BYTES_MAX: u64 = 4096;

/// Settings of a node given on the command line.
#[derive(Debug, Args, Serialize)]
pub struct NodeSettings {
    /// Makes this one of several nodes of a store: where the other nodes are listened to.
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    node_listen: Option<SocketAddr>,
    /// What other nodes connect to [default: as --node-listen].
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    node_address: Option<String>,
    /// A file with the secret that all nodes share, if it is not in GRANARY_CLUSTER_SECRET.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_secret_file: Option<PathBuf>,
    /// PEM file with this node's certificate for other nodes; with the two below, in place of a secret or beside it.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    node_tls_cert: Option<PathBuf>,
    /// PEM file with the private key of that certificate.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    node_tls_key: Option<PathBuf>,
    /// PEM file with the authority that signed the certificates of all nodes.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    node_tls_ca: Option<PathBuf>,
    /// The name that the certificates of all nodes carry [default: granary].
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    node_tls_name: Option<String>,
    /// What fails together with this node, a rack or a site.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    /// Let empty drives join the store that the database belongs to.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    join: bool,
    /// Pack the small objects of this node's clients here, even where another node would pack them into longer groups.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pack_alone: bool,
}

/// Settings of a node that passed validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Where other nodes are listened to.
    pub listen: SocketAddr,
    /// What other nodes connect to.
    pub address: String,
    /// What fails together with this node.
    pub zone: String,
    /// Whether empty drives may join the store of the database.
    pub join: bool,
    /// Who packs small objects.
    pub packing: Packing,
    /// Where the cluster's secret is, unless it is in the environment.
    pub secret_file: Option<PathBuf>,
    /// The certificates shown to other nodes.
    pub tls: Option<NodeTls>,
}

/// Where the certificates for other nodes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTls {
    /// This node's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority of all nodes.
    pub authority: PathBuf,
    /// The name that all nodes' certificates carry.
    pub name: String,
}

impl NodeTls {
    fn of(settings: &Settings) -> Result<Option<Self>> {
        match (&settings.node_tls_cert, &settings.node_tls_key, &settings.node_tls_ca) {
            (None, None, None) => Ok(None),
            (Some(certificate), Some(key), Some(authority)) => Ok(Some(Self {
                certificate: certificate.clone(),
                key: key.clone(),
                authority: authority.clone(),
                name: settings.node_tls_name.clone(),
            })),
            _ => bail!("--node-tls-cert, --node-tls-key and --node-tls-ca belong together: give all three"),
        }
    }

    fn load(&self) -> Result<Tls> {
        let read = |path: &Path| std::fs::read(path).with_context(|| path.display().to_string());
        Tls::from_pem(&read(&self.certificate)?, &read(&self.key)?, &read(&self.authority)?, &self.name)
            .context("the certificates for other nodes")
    }
}

impl NodeConfig {
    /// The node that the settings make, if they make one.
    ///
    /// # Errors
    /// Settings that contradict each other, or mean nothing.
    pub(super) fn of(settings: &Settings) -> Result<Option<Self>> {
        let Some(listen) = settings.node_listen else {
            let others = settings.node_address.is_some()
                || settings.cluster_secret_file.is_some()
                || NodeTls::of(settings)?.is_some()
                || !settings.zone.is_empty()
                || settings.join
                || settings.pack_alone;
            ensure!(
                !others,
                "--node-address, --cluster-secret-file, --node-tls-…, --zone, --join and --pack-alone are for a node: \
                 give --node-listen"
            );
            return Ok(None);
        };
        ensure!(
            settings.metadata != MetadataSetting::EMBEDDED,
            "several nodes need metadata that all of them reach: give --metadata postgres://…"
        );
        let address = match &settings.node_address {
            Some(address) => address.clone(),
            None => {
                ensure!(
                    !listen.ip().is_unspecified() && listen.port() != 0,
                    "--node-listen {listen} is no address that other nodes can connect to: give --node-address"
                );
                listen.to_string()
            }
        };
        let has_port = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0));
        ensure!(
            has_port && address.len() <= 300 && address.bytes().all(|b| b.is_ascii_graphic()),
            "--node-address {address:?} is not HOST:PORT"
        );
        let zone = settings.zone.clone();
        ensure!(
            zone.len() <= 64 && zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
            "--zone {zone:?} is not up to 64 letters, digits or any of - _ ."
        );
        let secret_file = settings.cluster_secret_file.clone();
        let tls = NodeTls::of(settings)?;
        let packing = if settings.pack_alone { Packing::Alone } else { Packing::Pooled };
        Ok(Some(Self { listen, address, zone, join: settings.join, packing, secret_file, tls }))
    }

    /// What the engine is to open.
    ///
    /// # Errors
    /// No secret, two of them, or one that is too short or that others can read.
    pub fn options(&self, environment: impl Fn(&str) -> Option<String>) -> Result<NodeOptions> {
        let tls = self.tls.as_ref().map(NodeTls::load).transpose()?;
        let given =
            |secret: String| ClusterSecret::new(secret.trim().as_bytes()).context("the cluster's secret");
        let secret = match (environment(SECRET_VARIABLE), &self.secret_file, &tls) {
            (Some(_), Some(_), _) => bail!("give either {SECRET_VARIABLE} or --cluster-secret-file"),
            (Some(secret), None, _) => given(secret)?,
            (None, Some(file), _) => given(read_secret(file)?)?,
            (None, None, Some(tls)) => tls.authority_secret().context("the nodes' authority")?,
            (None, None, None) => bail!(
                "nodes need a secret that all of them share, of at least {SECRET_LENGTH_BYTES_MIN} bytes: set \
                 {SECRET_VARIABLE} or give --cluster-secret-file (for example from `openssl rand -hex 32`), or \
                 certificates of their own: give --node-tls-cert, --node-tls-key and --node-tls-ca"
            ),
        };
        Ok(NodeOptions {
            listen: self.listen,
            address: self.address.clone(),
            zone: self.zone.clone(),
            secret,
            tls,
            join: if self.join { Join::Allowed } else { Join::Never },
            packing: self.packing,
            version: version(),
        })
    }
}

/// What the node calls itself in the list of nodes.
fn version() -> String {
    let built = env!("CARGO_PKG_VERSION");
    match rehearsed_release() {
        Release::This => built.to_owned(),
        Release::Next => format!("{built}+next"),
        Release::AfterNext => format!("{built}+after-next"),
    }
}

fn read_secret(file: &Path) -> Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let shown = file.display();
    let metadata = std::fs::metadata(file).with_context(|| format!("the cluster's secret in {shown}"))?;
    ensure!(metadata.len() <= SECRET_LENGTH_BYTES_MAX, "{shown} is too long for a secret");
    let mode = metadata.permissions().mode();
    ensure!(mode & 0o077 == 0, "{shown} can be read by others: chmod 600 {shown}");
    std::fs::read_to_string(file).with_context(|| format!("the cluster's secret in {shown}"))
}
