//! A cluster is upgraded from the build of an earlier commit to this one, node by node, under load: two codes that differ, side
//! by side. `cargo xtask soak upgrade --from REV` builds both and runs it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use granary_tests::cluster::Cluster;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::register::{Journal, Registers};
use granary_tests::server::binary;

/// The build that the upgrade begins with.
const EARLIER_VARIABLE: &str = "GRANARY_TEST_EARLIER_BINARY";
const NODES: usize = 6;
const PARITY: usize = 2;
const WORKERS: u64 = 8;
/// Of the load before and after what happens to a node.
const LOAD_TIME: Duration = Duration::from_secs(4);
const REGISTERS_TIME: Duration = Duration::from_secs(5);
/// Fewer writes than these are no load.
const WRITES_MIN: u64 = 50;

struct Builds {
    earlier: PathBuf,
    this: PathBuf,
}

struct Upgrade {
    cluster: Cluster,
    ledger: Arc<Ledger>,
    begun: Instant,
}

impl Upgrade {
    async fn begin(earlier: &Path) -> Self {
        let cluster = Cluster::start_networked_with(NODES, 1, earlier).await.unwrap();
        cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
        Self { cluster, ledger: Arc::default(), begun: Instant::now() }
    }

    fn say(&self, what: &str) {
        eprintln!(
            "{:>4} s, {:>6} writes: {what}",
            self.begun.elapsed().as_secs(),
            self.ledger.acknowledged()
        );
    }

    /// Begins a load through all nodes, or all but one that is about to be stopped.
    async fn load(&self, but: Option<usize>) -> Load {
        let used = (0..NODES).filter(|number| Some(*number) != but);
        let clients: Vec<Client> = used.map(|number| self.cluster.nodes[number].client().unwrap()).collect();
        let seed = self.ledger.acknowledged() + 1;
        let load = Load::spread(&clients, &self.ledger, WORKERS, seed, OnFailure::AcceptUnavailable);
        tokio::time::sleep(LOAD_TIME).await;
        load
    }

    async fn end(&self, load: Load, before: u64) {
        tokio::time::sleep(LOAD_TIME).await;
        load.finish().await.unwrap();
        let written = self.ledger.acknowledged() - before;
        assert!(written >= WRITES_MIN, "only {written} writes were acknowledged");
    }

    /// Stops a node and starts it as that build, under load through the others.
    async fn replace(&mut self, number: usize, build: &Path) {
        let before = self.ledger.acknowledged();
        let load = self.load(Some(number)).await;
        self.cluster.nodes[number].stop().await.unwrap();
        self.cluster.nodes[number].config_mut().binary = Some(build.to_owned());
        self.cluster.nodes[number].launch().await.unwrap();
        self.end(load, before).await;
        self.cluster.wait_for(NODES).await.unwrap();
    }

    /// Every node serves what was acknowledged, lists that and no more, and every volume is whole.
    async fn verify(&self, what: &str) {
        for client in self.cluster.clients().unwrap() {
            self.ledger.verify(&client).await.unwrap();
        }
        self.cluster.wait_complete(PARITY).await.unwrap();
        self.say(what);
    }

    /// The schema of the database.
    fn schema(&self) -> u64 {
        let version = self.cluster.database.sql("granary", "SELECT version FROM granary_schema").unwrap();
        version.parse().unwrap()
    }

    /// The schema is expanded by the later build while nodes of the earlier one write, and serves these: also one that only
    /// then starts.
    async fn expand(&mut self, builds: &Builds) {
        let (was, before) = (self.schema(), self.ledger.acknowledged());
        let load = self.load(None).await;
        let migrated = Command::new(&builds.this)
            .args(["migrate", "--metadata", &self.cluster.database_url()])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        self.end(load, before).await;
        let is = self.schema();
        self.verify(&format!("the schema went from {was} to {is} under nodes of the earlier build")).await;
        self.replace(0, &builds.earlier).await;
        self.verify("a node of the earlier build started again on that schema").await;
    }

    /// Keys are registers that nodes of both builds share, also while a node goes from one to the other.
    async fn registers(&mut self, number: usize, build: &Path) {
        let journal = Arc::new(Journal::default());
        let registers = Registers::start(&self.cluster.clients().unwrap(), &journal, 1);
        tokio::time::sleep(REGISTERS_TIME).await;
        self.cluster.nodes[number].stop().await.unwrap();
        self.cluster.nodes[number].config_mut().binary = Some(build.to_owned());
        self.cluster.nodes[number].launch().await.unwrap();
        self.cluster.wait_for(NODES).await.unwrap();
        tokio::time::sleep(REGISTERS_TIME).await;
        registers.finish().await.unwrap();
        journal.check().unwrap();
        let (answered, unknown) = journal.counts();
        self.say(&format!("registers: {answered} requests answered, {unknown} not"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_an_earlier_build_are_replaced_one_by_one_under_load() {
    let earlier = std::env::var_os(EARLIER_VARIABLE).map(PathBuf::from);
    let builds = Builds { earlier: earlier.unwrap(), this: binary().unwrap() };
    let mut upgrade = Upgrade::begin(&builds.earlier).await;
    let before = upgrade.ledger.acknowledged();
    let load = upgrade.load(None).await;
    upgrade.end(load, before).await;
    upgrade.verify("six nodes of the earlier build").await;
    upgrade.expand(&builds).await;
    for number in 0..NODES {
        upgrade.replace(number, &builds.this).await;
        upgrade.verify(&format!("node {} of {NODES} is of this build", number + 1)).await;
        if number == NODES / 2 {
            // A release that disappoints is taken back, with what it wrote.
            upgrade.replace(number, &builds.earlier).await;
            upgrade.verify("and went back to the earlier build").await;
            upgrade.replace(number, &builds.this).await;
            upgrade.verify("and came to this one again").await;
        }
    }
    // A kill instead of a stop, as nobody is asked before a crash.
    for number in [1, 4] {
        upgrade.cluster.nodes[number].kill_and_restart().await.unwrap();
    }
    upgrade.cluster.wait_for(NODES).await.unwrap();
    upgrade.verify("two nodes of this build were killed").await;
    // The registers' keys are none of the ledger's, and come last.
    upgrade.replace(2, &builds.earlier).await;
    upgrade.registers(2, &builds.this).await;
}
