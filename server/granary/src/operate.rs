//! Commands that talk to a running server through its admin API.

mod bucket;
mod identity;
mod losses;
mod moves;
mod quota;
mod restore;
mod status;
mod task;
mod tier_jobs;
mod tiers;
mod warm;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use granary_admin::{AdminClient, DriveReport, NodeReport, VolumeReport};

use crate::config::expand_data;
use crate::credentials;
use crate::output::{OutputFormat, print_json, print_line, table};
pub use bucket::{BucketCommand, bucket};
pub use identity::{KeyCommand, PolicyCommand, UserCommand, key, policy, user};
pub use losses::{LossesArgs, losses};
pub use moves::{DrainArgs, cancel_drain, drain, list_moves, remove_drive};
pub use restore::{RestoreArgs, restore};
pub use status::status;
pub use task::run_task;
pub use tier_jobs::tier_jobs;
pub use tiers::list_tiers;
pub use warm::{UnpinArgs, WarmArgs, pin, pins, prefetch, unpin};

/// The server that a command is for.
#[derive(Debug, Args)]
pub struct Target {
    /// Where the server listens.
    #[arg(long, env = "GRANARY_ENDPOINT", default_value = "http://127.0.0.1:9000")]
    endpoint: String,
    /// PEM file with the certificate to trust, for https.
    #[arg(long, env = "GRANARY_CA_CERT", value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// The region to sign for: the server's.
    #[arg(long, env = "GRANARY_REGION", default_value = "us-east-1")]
    region: String,
    /// A drive's directory to read generated root credentials from, if they are not in the environment.
    #[arg(long, env = "GRANARY_DATA", value_name = "DIRECTORY", value_delimiter = ',')]
    data: Vec<String>,
}

impl Target {
    pub(crate) fn client(&self) -> Result<AdminClient> {
        let drives = expand_data(&self.data)?;
        let credentials = credentials::existing(|name| std::env::var(name).ok(), &drives)?;
        AdminClient::new(&self.endpoint, credentials, &self.region, self.ca_cert.as_deref())
            .context("the admin API")
    }
}

/// `granary drive list`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn list_drives(target: &Target, format: OutputFormat) -> Result<()> {
    let drives = target.client()?.drives().await.context("listing drives")?;
    if format == OutputFormat::Json {
        return print_json(&drives);
    }
    print_line(&table(
        &["ID", "NODE", "ZONE", "SLOT", "PATH", "CLASS", "STATE", "CAPACITY", "FREE", "USED", "DETAIL"],
        &drives.iter().map(drive_row).collect::<Vec<_>>(),
    ))
}

fn drive_row(drive: &DriveReport) -> Vec<String> {
    let dash = || "-".to_owned();
    let zone = Some(drive.zone.clone()).filter(|zone| !zone.is_empty());
    vec![
        drive.id.clone().unwrap_or_else(dash),
        drive.node_address.clone().unwrap_or_else(dash),
        zone.unwrap_or_else(dash),
        drive.slot.to_string(),
        drive.path.clone(),
        drive.class.to_string(),
        if drive.draining { format!("{}, draining", word(&drive.state)) } else { word(&drive.state) },
        drive.capacity_bytes.map_or_else(dash, size),
        drive.free_bytes.map_or_else(dash, size),
        used(drive.capacity_bytes.unwrap_or(0), drive.free_bytes.unwrap_or(0)),
        drive.detail.clone().unwrap_or_default(),
    ]
}

/// How much of it is used, in percent.
fn used(capacity_bytes: u64, free_bytes: u64) -> String {
    match (capacity_bytes.saturating_sub(free_bytes).saturating_mul(100)).checked_div(capacity_bytes) {
        Some(percent) => format!("{percent} %"),
        None => "-".to_owned(),
    }
}

/// `granary node list`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn list_nodes(target: &Target, format: OutputFormat) -> Result<()> {
    let nodes = target.client()?.nodes().await.context("listing nodes")?;
    if format == OutputFormat::Json {
        return print_json(&nodes);
    }
    print_line(&table(
        &["ID", "ADDRESS", "ZONE", "STATE", "DRIVES", "CAPACITY", "FREE", "USED", "VERSION", "DETAIL"],
        &nodes.iter().map(node_row).collect::<Vec<_>>(),
    ))
}

fn node_row(node: &NodeReport) -> Vec<String> {
    vec![
        node.id.clone(),
        node.address.clone(),
        if node.zone.is_empty() { "-".to_owned() } else { node.zone.clone() },
        word(&node.state),
        match node.draining {
            0 => node.drives.to_string(),
            draining => format!("{}, {draining} draining", node.drives),
        },
        size(node.capacity_bytes),
        size(node.free_bytes),
        used(node.capacity_bytes, node.free_bytes),
        node.version.clone(),
        node.detail.clone().unwrap_or_default(),
    ]
}

/// `granary node remove`.
///
/// # Errors
/// The server cannot be reached, or refuses: the node is alive, or not known.
pub async fn remove_node(target: &Target, id: &str) -> Result<()> {
    target.client()?.remove_node(id).await.context("removing a node")
}

/// `granary volume list`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn list_volumes(target: &Target, format: OutputFormat) -> Result<()> {
    let volumes = target.client()?.volumes().await.context("listing volumes")?;
    if format == OutputFormat::Json {
        return print_json(&volumes);
    }
    print_line(&table(
        &["ID", "STATE", "ERASURE", "STORED", "LIVE"],
        &volumes.iter().map(volume_row).collect::<Vec<_>>(),
    ))
}

fn volume_row(volume: &VolumeReport) -> Vec<String> {
    vec![
        volume.id.clone(),
        word(&volume.state),
        volume.erasure.clone(),
        size(volume.stored_bytes),
        size(volume.live_bytes),
    ]
}

/// The word that stands for a state in JSON.
fn word(state: &impl serde::Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "unknown".to_owned(),
    }
}

fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
