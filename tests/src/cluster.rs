//! Several nodes with one Postgres, each a process of the real binary with an address of its own.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::Client;

use crate::census::Census;
use crate::network::Network;
use crate::postgres::{Flushing, PostgresCluster, Stop, url_of};
use crate::server::binary;
use crate::{PATIENCE, Server, ServerConfig};

const SECRET: &str = "a secret for tests that protects nothing at all 0123456789";
const POLL_INTERVAL: Duration = Duration::from_millis(200);
const DATABASE: &str = "granary";

/// What a commit of the database waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// The standby has flushed it.
    Synchronous,
    /// Nothing of the standby's.
    Asynchronous,
}

/// A store of several nodes.
#[derive(Debug)]
pub struct Cluster {
    /// Its database.
    pub database: PostgresCluster,
    /// What takes its place when it fails, if there is one.
    pub standby: Option<PostgresCluster>,
    /// Its nodes.
    pub nodes: Vec<Server>,
    network: Option<Network>,
    env: Vec<(String, String)>,
}

impl Cluster {
    /// Starts `nodes` nodes with `drives` drives each, and waits until they know each other.
    pub async fn start(nodes: usize, drives: usize) -> Result<Self> {
        Self::start_with(nodes, drives, &[]).await
    }

    /// As [`Cluster::start`], with more environment variables.
    pub async fn start_with(nodes: usize, drives: usize, env: &[(&str, &str)]) -> Result<Self> {
        let mut cluster = Self::empty_with(env)?;
        cluster.prepare(nodes, drives)?;
        cluster.launch().await?;
        Ok(cluster)
    }

    /// As [`Cluster::start`], with each node in a network namespace of its own; see [`Cluster::network`].
    pub async fn start_networked(nodes: usize, drives: usize) -> Result<Self> {
        Self::start_networked_with(nodes, drives, &binary()?).await
    }

    /// As [`Cluster::start_networked`], with nodes of another build than the one that is tested.
    pub async fn start_networked_with(nodes: usize, drives: usize, build: &Path) -> Result<Self> {
        let network = Network::create(nodes)?;
        let (listen, from) = (network.database(), network.cidr());
        let database = PostgresCluster::start_reachable(Flushing::On, listen, &from)?;
        let mut cluster = Self::with(database, Some(network), &[])?;
        cluster.prepare(nodes, drives)?;
        for node in &mut cluster.nodes {
            node.config_mut().binary = Some(build.to_owned());
        }
        cluster.launch().await?;
        Ok(cluster)
    }

    /// As [`Cluster::start_with`], with a streaming standby of the database, which every node knows of.
    pub async fn start_replicated(
        nodes: usize,
        replication: Replication,
        env: &[(&str, &str)],
    ) -> Result<Self> {
        let mut cluster = Self::empty_with(env)?;
        cluster.standby = Some(cluster.database.standby(Flushing::On, &[])?);
        if replication == Replication::Synchronous {
            cluster.database.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")?;
            cluster.database.sql("postgres", "SELECT pg_reload_conf()")?;
        }
        cluster.prepare(nodes, 1)?;
        cluster.launch().await?;
        Ok(cluster)
    }

    /// Lets the standby receive nothing more: what is committed from now on is lost when it takes the database's place.
    pub fn cut_standby_off(&self) -> Result<()> {
        self.standby.as_ref().context("this cluster has no standby")?.cut_off()
    }

    /// Waits until the standby has received all that the database has committed.
    pub fn standby_has_all(&self) -> Result<()> {
        self.standby.as_ref().context("this cluster has no standby")?.catch_up(&self.database)
    }

    /// What the nodes report to be lost: keys, each with what kind of loss it is.
    pub async fn losses(&self) -> Result<Vec<(String, String)>> {
        let node = self.running().next().context("no node runs")?;
        let listed: serde_json::Value =
            serde_json::from_str(&node.admin(&["metadata", "losses", "--json"]).await?)?;
        let text = |loss: &serde_json::Value, name: &str| {
            loss.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        };
        let losses =
            listed.get("losses").and_then(serde_json::Value::as_array).context("a list of losses")?;
        Ok(losses.iter().map(|loss| (text(loss, "key"), text(loss, "kind"))).collect())
    }

    /// Waits until all nodes that run are through with a fail-over.
    pub async fn wait_settled(&self) -> Result<()> {
        for node in self.running() {
            let waited = until("a fail-over is settled", async || {
                let listed: serde_json::Value =
                    serde_json::from_str(&node.admin(&["metadata", "losses", "--json"]).await?)?;
                let failing = listed.get("failing_over").and_then(serde_json::Value::as_bool);
                ensure!(failing == Some(false), "{listed}");
                let regressed = node.metric("granary_metadata_regressed").await?;
                ensure!(regressed < 1.0, "the metadata is regressed");
                Ok(())
            });
            waited.await.with_context(|| node.log_tail())?;
        }
        Ok(())
    }

    /// Kills the database and lets the standby take its place.
    pub fn fail_over(&mut self) -> Result<()> {
        let standby = self.standby.take().context("this cluster has no standby")?;
        self.database.stop(Stop::Immediate)?;
        standby.promote()?;
        self.database = standby;
        Ok(())
    }

    /// A database and no nodes yet.
    pub fn empty() -> Result<Self> {
        Self::empty_with(&[])
    }

    fn empty_with(env: &[(&str, &str)]) -> Result<Self> {
        Self::with(PostgresCluster::start(Flushing::On)?, None, env)
    }

    fn with(database: PostgresCluster, network: Option<Network>, env: &[(&str, &str)]) -> Result<Self> {
        database.create_database(DATABASE)?;
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(Self { database, standby: None, nodes: Vec::new(), network, env })
    }

    fn prepare(&mut self, nodes: usize, drives: usize) -> Result<()> {
        for _ in 0..nodes {
            let mut config = self.node_config(drives);
            if let Some(network) = &self.network {
                let host = self.nodes.len();
                config.space = Some(network.space(host));
                config.address = Some(network.address(host)?);
            }
            self.nodes.push(Server::prepare(config)?);
        }
        Ok(())
    }

    async fn launch(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.spawn()?;
        }
        self.wait_for(self.nodes.len()).await
    }

    /// The links between the nodes, of a cluster that was started with a network.
    pub fn network(&self) -> Result<&Network> {
        self.network.as_ref().context("this cluster has no network of its own")
    }

    /// The URL of the database, as it is reached from this machine.
    pub fn database_url(&self) -> String {
        self.database.url(DATABASE)
    }

    /// The settings of one more node.
    pub fn node_config(&self, drives: usize) -> ServerConfig {
        let number = u8::try_from(self.nodes.len() + 1).unwrap_or(u8::MAX);
        let address = Ipv4Addr::new(127, 0, 77, number);
        let database = match (&self.network, &self.standby) {
            (Some(network), _) => self.database.url_at(network.database(), DATABASE),
            // The one that is read-only comes first: it is passed by.
            (None, Some(standby)) => url_of(&[standby, &self.database], DATABASE),
            (None, None) => self.database.url(DATABASE),
        };
        let mut config = ServerConfig::drives(drives)
            .env("GRANARY_METADATA", &database)
            .env("GRANARY_CLUSTER_SECRET", SECRET);
        config.env.extend(self.env.iter().cloned());
        config.address = Some(address);
        config.node = true;
        config.args.push("--join".to_owned());
        config
    }

    /// Adds a node with empty drives.
    pub async fn add(&mut self, drives: usize) -> Result<()> {
        let server = Server::start(self.node_config(drives)).await?;
        self.nodes.push(server);
        Ok(())
    }

    /// The nodes that run.
    pub fn running(&self) -> impl Iterator<Item = &Server> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    /// The sum of a metric, or of one series of it, over all nodes; fails if one of them does not answer.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let mut sum = 0.0;
        for node in &self.nodes {
            sum += node.metric(name).await?;
        }
        Ok(sum)
    }

    /// A client of each node that runs.
    pub fn clients(&self) -> Result<Vec<Client>> {
        self.running().map(Server::client).collect()
    }

    /// The data directories of all nodes.
    pub fn drives(&self) -> Vec<PathBuf> {
        self.nodes.iter().flat_map(|node| node.drive_paths().to_vec()).collect()
    }

    /// What a node says of all nodes: (id, address, state).
    pub async fn listed_by(&self, node: &Server) -> Result<Vec<(String, String, String)>> {
        let listed: serde_json::Value =
            serde_json::from_str(&node.admin(&["node", "list", "--json"]).await?)?;
        let text = |node: &serde_json::Value, name: &str| {
            node.get(name)
                .and_then(serde_json::Value::as_str)
                .map(str::to_owned)
                .with_context(|| name.to_owned())
        };
        let nodes = listed.as_array().context("a list of nodes")?.iter();
        nodes.map(|node| Ok((text(node, "id")?, text(node, "address")?, text(node, "state")?))).collect()
    }

    /// Waits until every volume has all its shards, with this parity.
    pub async fn wait_complete(&self, parity: usize) -> Result<()> {
        let node = self.running().next().context("no node runs")?;
        let waited = until("the census is complete", async || {
            let volumes = node.admin(&["volume", "list", "--json"]).await?;
            let volumes: serde_json::Value = serde_json::from_str(&volumes)?;
            Census::take(&self.drives())?.ensure_complete(&volumes, parity)
        });
        waited.await.with_context(|| node.log_tail())
    }

    /// Waits until every node that runs is ready and sees `count` nodes alive.
    pub async fn wait_for(&mut self, count: usize) -> Result<()> {
        for node in self.nodes.iter_mut().filter(|node| node.is_running()) {
            node.wait_ready().await?;
        }
        for node in self.running() {
            let what = format!("{count} nodes see each other");
            let waited = until(&what, async || {
                let listed = self.listed_by(node).await?;
                let alive = listed.iter().filter(|(_, _, state)| state == "alive").count();
                ensure!(alive == count, "{listed:?}");
                Ok(())
            });
            waited.await.with_context(|| node.log_tail())?;
        }
        ensure!(self.running().next().is_some(), "no node runs");
        Ok(())
    }
}

/// Waits until nothing fails: while a node or the database is away, even asking does.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    while let Err(error) = holds().await {
        if begun.elapsed() > PATIENCE {
            return Err(error.context(format!("not in {PATIENCE:?}: {what}")));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}
