//! A cluster to measure: nodes of the real binary on loopback addresses, and one throwaway Postgres that flushes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::postgres::{Flushing, PostgresCluster};
use crate::target::{Started, Target, free_host, granary, spawn};

/// It protects nothing but a benchmark.
const SECRET: &str = "a secret of benchmarks that protects nothing at all 0123456789";
const DATABASE: &str = "granary";
/// Each node has an address of its own, in this network.
const NETWORK: &str = "127.0.78";
const MAX_NODES: usize = 64;

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
        node.wait().await.with_context(|| format!("node {}", node.target.hosts.join(" ")))?;
    }
    let targets: Vec<_> = started.iter().map(|node| node.target.clone()).collect();
    Ok((Target::of_nodes(&targets)?, started))
}

fn spawn_node(dir: &Path, number: usize, drives: usize, database_url: &str) -> Result<Started> {
    let address = format!("{NETWORK}.{number}");
    let dir = dir.join(format!("node{number}"));
    let host = free_host(&address)?;
    let mut command = granary(&dir, drives, &host)?;
    command.args(["--join", "--node-listen", &free_host(&address)?]);
    command.env("GRANARY_METADATA", database_url).env("GRANARY_CLUSTER_SECRET", SECRET);
    spawn("granary", command, &dir, host, drives)
}
