//! What makes a process one of several nodes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use granary_engine::{ClusterSecret, Join, NodeOptions, SECRET_LENGTH_BYTES_MIN};

use super::{MetadataSetting, Settings};

/// The environment variable with the cluster's secret. It is no setting, so that it is never shown with the others.
const SECRET_VARIABLE: &str = "GRANARY_CLUSTER_SECRET";
const SECRET_LENGTH_BYTES_MAX: u64 = 4096;

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
    /// Where the cluster's secret is, unless it is in the environment.
    pub secret_file: Option<PathBuf>,
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
                || !settings.zone.is_empty()
                || settings.join;
            ensure!(
                !others,
                "--node-address, --cluster-secret-file, --zone and --join are for a node: give --node-listen"
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
        Ok(Some(Self { listen, address, zone, join: settings.join, secret_file }))
    }

    /// What the engine is to open.
    ///
    /// # Errors
    /// No secret, two of them, or one that is too short or that others can read.
    pub fn options(&self, environment: impl Fn(&str) -> Option<String>) -> Result<NodeOptions> {
        let secret = match (environment(SECRET_VARIABLE), &self.secret_file) {
            (Some(_), Some(_)) => bail!("give either {SECRET_VARIABLE} or --cluster-secret-file"),
            (Some(secret), None) => secret,
            (None, Some(file)) => read_secret(file)?,
            (None, None) => bail!(
                "nodes need a secret that all of them share, of at least {SECRET_LENGTH_BYTES_MIN} bytes: set \
                 {SECRET_VARIABLE} or give --cluster-secret-file (for example from `openssl rand -hex 32`)"
            ),
        };
        let secret = ClusterSecret::new(secret.trim().as_bytes()).context("the cluster's secret")?;
        Ok(NodeOptions {
            listen: self.listen,
            address: self.address.clone(),
            zone: self.zone.clone(),
            secret,
            join: if self.join { Join::Allowed } else { Join::Never },
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
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
