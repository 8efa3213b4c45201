//! Each key is one register that all nodes share, whatever fails (see `granary_tests::register`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_tests::PATIENCE;
use granary_tests::cluster::Cluster;
use granary_tests::load::BUCKET;
use granary_tests::network::{End, Network};
use granary_tests::postgres::Stop;
use granary_tests::register::{Journal, Registers};

const NODES: usize = 6;
const BETWEEN: Duration = Duration::from_secs(2);
/// Longer than other nodes wait for a sign of life.
const FROZEN: Duration = Duration::from_secs(12);
/// So that there is something to check.
const ANSWERED_MIN: usize = 500;
const DATABASE_AWAY: Duration = Duration::from_secs(5);

/// What happens while the clients ask.
enum Fault {
    Killed(usize),
    Frozen(usize),
    /// The node reaches no other and not the database.
    CutOff(usize),
    /// Halves that do not reach each other, but the database.
    Split(&'static [usize]),
    /// What the node sends to others is lost; what it sends to the database is not.
    Mute(usize),
    DatabaseRestarted(Stop),
    DatabaseAway,
    Restarted(usize),
}

impl Fault {
    async fn inflict(&self, cluster: &mut Cluster) {
        match self {
            Self::Killed(node) => {
                cluster.nodes[*node].kill().unwrap();
                tokio::time::sleep(BETWEEN).await;
                cluster.nodes[*node].spawn().unwrap();
            }
            Self::Frozen(node) => {
                cluster.nodes[*node].freeze().unwrap();
                tokio::time::sleep(FROZEN).await;
                cluster.nodes[*node].thaw().unwrap();
            }
            Self::CutOff(node) => {
                let network = cluster.network().unwrap();
                network.split(&[*node]).unwrap();
                network.cut(*node, End::Database).unwrap();
                healed_later(network).await;
            }
            Self::Split(some) => {
                let network = cluster.network().unwrap();
                network.split(some).unwrap();
                healed_later(network).await;
            }
            Self::Mute(node) => {
                let network = cluster.network().unwrap();
                let others = (0..NODES).filter(|other| other != node);
                others.for_each(|other| network.cut(*node, End::Node(other)).unwrap());
                healed_later(network).await;
            }
            Self::DatabaseRestarted(how) => cluster.database.restart(*how).unwrap(),
            Self::DatabaseAway => {
                cluster.database.stop(Stop::Immediate).unwrap();
                tokio::time::sleep(DATABASE_AWAY).await;
                cluster.database.launch().unwrap();
            }
            Self::Restarted(node) => cluster.nodes[*node].stop_and_restart().await.unwrap(),
        }
    }
}

async fn healed_later(network: &Network) {
    tokio::time::sleep(BETWEEN * 2).await;
    network.heal().unwrap();
}

async fn hold_while(faults: &[Fault], seed: u64) {
    let mut cluster = Cluster::start_networked(NODES, 1).await.unwrap();
    let clients = cluster.clients().unwrap();
    clients[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let journal = Arc::new(Journal::default());
    let registers = Registers::start(&clients, &journal, seed);
    tokio::time::sleep(BETWEEN).await;
    for fault in faults {
        fault.inflict(&mut cluster).await;
        cluster.wait_for(NODES).await.unwrap();
        tokio::time::sleep(BETWEEN).await;
    }
    let begun = Instant::now();
    while journal.counts().0 <= ANSWERED_MIN {
        assert!(
            begun.elapsed() < PATIENCE,
            "only {:?} requests were answered, and unknown",
            journal.counts()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    registers.finish().await.unwrap();
    let (answered, unknown) = journal.counts();
    eprintln!("{answered} requests answered, {unknown} unknown");
    journal.check().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_registers_while_nodes_die_and_come_back() {
    hold_while(&[Fault::Killed(1), Fault::Restarted(3), Fault::Killed(0)], 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_registers_while_nodes_are_stopped() {
    hold_while(&[Fault::Frozen(2)], 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_registers_while_links_are_cut() {
    hold_while(&[Fault::CutOff(4), Fault::Split(&[0, 1, 3]), Fault::Mute(2)], 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_registers_while_the_database_fails() {
    let restarted = Fault::DatabaseRestarted;
    hold_while(&[restarted(Stop::Fast), Fault::DatabaseAway, restarted(Stop::Immediate)], 3).await;
}
