//! A cluster to measure: nodes of the real binary on loopback addresses, and one throwaway Postgres that flushes.

use std::path::Path;

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
    _nodes: Vec<Started>,
    _database: PostgresCluster,
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
        let mut started = Vec::new();
        for number in 1..=nodes {
            started.push(spawn_node(dir, number, drives, &database.url(DATABASE))?);
        }
        for node in &mut started {
            node.wait().await.with_context(|| format!("node {}", node.target.hosts.join(" ")))?;
        }
        let targets: Vec<_> = started.iter().map(|node| node.target.clone()).collect();
        Ok(Self { target: Target::of_nodes(&targets)?, _nodes: started, _database: database })
    }
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
