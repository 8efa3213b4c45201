//! A cluster to measure: nodes of the real binary on loopback addresses, and one throwaway Postgres that flushes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::postgres::{Flushing, PostgresCluster};
use crate::target::{Started, Target, free_host, granary, granary_says, spawn};

/// It protects nothing but a benchmark.
const SECRET: &str = "a secret of benchmarks that protects nothing at all 0123456789";
const DATABASE: &str = "granary";
/// Each node has an address of its own, in this network.
const NETWORK: &str = "127.0.78";
const MAX_NODES: usize = 64;
/// The node that is lost, counted from one: not the first, which commands are sent to.
const LOST: usize = 2;
/// By then the others have noticed that a node is dead.
const NOTICED_WITHIN: Duration = Duration::from_mins(1);

/// A running cluster; its processes are killed when it is dropped.
pub struct Cluster {
    /// All nodes as one target.
    pub target: Target,
    nodes: Vec<Started>,
    database: PostgresCluster,
    dir: PathBuf,
    drives: usize,
}

impl Cluster {
    /// Starts `nodes` nodes with `drives` drive directories each below `dir`, and waits until they serve.
    ///
    /// # Errors
    /// A node that does not come up, or no Postgres.
    pub async fn start(dir: &Path, nodes: usize, drives: usize) -> Result<Self> {
        ensure!((1..=MAX_NODES).contains(&nodes), "--nodes takes 1 to {MAX_NODES}");
        let database = PostgresCluster::start(Flushing::On)?;
        database.create_database(DATABASE)?;
        let url = database.url(DATABASE);
        let (target, started) = start_nodes(dir, nodes, drives, &url).await?;
        Ok(Self { target, nodes: started, database, dir: dir.to_owned(), drives })
    }

    /// The database's server.
    pub fn database(&self) -> &PostgresCluster {
        &self.database
    }

    /// The database that the nodes began with.
    pub fn database_url(&self) -> String {
        self.database.url(DATABASE)
    }

    /// Where the drives of each node are that was not lost yet.
    #[must_use]
    pub fn node_dirs(&self) -> Vec<PathBuf> {
        self.nodes.iter().map(Started::dir).collect()
    }

    /// Where the drives of the node that [`Cluster::lose_node`] kills are.
    #[must_use]
    pub fn to_be_lost(&self) -> PathBuf {
        node_dir(&self.dir, LOST)
    }

    /// Kills a node, and removes its drives.
    ///
    /// # Errors
    /// When there is none to be spared, or its files stay.
    pub fn lose_node(&mut self) -> Result<()> {
        ensure!(self.nodes.len() > LOST, "--faults takes more nodes than that");
        // It is killed when it is dropped.
        drop(self.nodes.remove(LOST - 1));
        std::fs::remove_dir_all(self.to_be_lost()).context("losing the drives of a node")?;
        self.target = target_of(&self.nodes)?;
        Ok(())
    }

    /// Starts an empty node in the place of the lost one, and tells the others that this does not come back; from then on all it
    /// had is healed.
    ///
    /// # Errors
    /// A node that does not come up, or others that do not notice that one is dead.
    pub async fn replace_lost(&mut self) -> Result<()> {
        let number = self.nodes.len() + 2;
        let mut node = spawn_node(&self.dir, number, self.drives, &self.database_url())?;
        node.wait().await.context("a new node")?;
        self.nodes.push(node);
        let listed: Value = serde_json::from_str(&granary_says(&self.target, &["node", "list", "--json"])?)?;
        let of_lost = |node: &&Value| {
            let address = node.get("address").and_then(Value::as_str);
            address.is_some_and(|address| address.starts_with(&format!("{NETWORK}.{LOST}:")))
        };
        let lost = listed.as_array().and_then(|nodes| nodes.iter().find(of_lost));
        let id = lost.and_then(|node| node.get("id")).and_then(Value::as_str).context("no node is lost")?;
        let begun = Instant::now();
        while let Err(refusal) = granary_says(&self.target, &["node", "remove", id]) {
            ensure!(begun.elapsed() < NOTICED_WITHIN, "the dead node cannot be removed: {refusal:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Ends all nodes as an operator does.
    ///
    /// # Errors
    /// A node that does not end.
    pub fn stop_nodes(&mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(Started::stop)
    }

    /// Starts the nodes again, with another database.
    ///
    /// # Errors
    /// A node that does not come up.
    pub async fn start_nodes(&mut self, url: &str) -> Result<()> {
        (self.target, self.nodes) = start_nodes(&self.dir, self.nodes.len(), self.drives, url).await?;
        Ok(())
    }
}

async fn start_nodes(dir: &Path, nodes: usize, drives: usize, url: &str) -> Result<(Target, Vec<Started>)> {
    let mut started = Vec::new();
    for number in 1..=nodes {
        started.push(spawn_node(dir, number, drives, url)?);
    }
    for node in &mut started {
        wait_for_drives(node, nodes * drives).await?;
    }
    for node in &mut started {
        node.wait().await.with_context(|| format!("node {}", node.target.hosts.join(" ")))?;
    }
    Ok((target_of(&started)?, started))
}

/// Waits until a node can use all drives: volumes that it begins before have fewer columns.
async fn wait_for_drives(node: &mut Started, drives: usize) -> Result<()> {
    let begun = Instant::now();
    loop {
        node.check_running()?;
        let said = granary_says(&node.target, &["drive", "list", "--json"]);
        if said.as_ref().is_ok_and(|said| online(said) == drives) {
            return Ok(());
        }
        ensure!(begun.elapsed() < NOTICED_WITHIN, "{drives} drives are not online: {said:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// How many drives of a list can be used.
fn online(listed: &str) -> usize {
    let listed: Value = serde_json::from_str(listed).unwrap_or_default();
    let is_online = |drive: &&Value| drive.get("state").and_then(Value::as_str) == Some("online");
    listed.as_array().map_or(0, |drives| drives.iter().filter(is_online).count())
}

fn target_of(nodes: &[Started]) -> Result<Target> {
    let targets: Vec<_> = nodes.iter().map(|node| node.target.clone()).collect();
    Target::of_nodes(&targets)
}

fn spawn_node(dir: &Path, number: usize, drives: usize, database_url: &str) -> Result<Started> {
    let address = format!("{NETWORK}.{number}");
    let dir = node_dir(dir, number);
    let host = free_host(&address)?;
    let mut command = granary(&dir, drives, &host)?;
    command.args(["--join", "--node-listen", &free_host(&address)?]);
    command.env("GRANARY_METADATA", database_url).env("GRANARY_CLUSTER_SECRET", SECRET);
    spawn("granary", command, &dir, host, drives)
}

fn node_dir(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("node{number}"))
}
