//! Links between nodes that are cut, slow or lose what goes one way, in network namespaces (see `granary_tests::network`), and
//! nodes that come back with other drives or an older state.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use granary_tests::cluster::Cluster;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::network::{End, Network};

const NODES: usize = 6;
/// Of the code that six drives get.
const PARITY: usize = 2;
const WORKERS: u64 = 12;
const LOAD_TIME: Duration = Duration::from_secs(3);

/// Whether a load has to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GoesOn {
    Surely,
    Perhaps,
}

/// Writes through `clients` for a while; what is acknowledged is in the ledger.
async fn load(clients: &[Client], ledger: &Arc<Ledger>, seed: u64, goes_on: GoesOn) -> u64 {
    let before = ledger.acknowledged();
    let mut load = Load::spread(clients, ledger, WORKERS, seed, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    if goes_on == GoesOn::Surely {
        load.goes_on(before).await.unwrap();
    }
    load.finish().await.unwrap();
    ledger.acknowledged() - before
}

async fn verify(cluster: &Cluster, ledger: &Ledger) {
    for client in cluster.clients().unwrap() {
        ledger.verify(&client).await.unwrap();
    }
}

/// What becomes of the links of six nodes.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The node reaches no other node and not the database, and is not reached.
    Alone(usize),
    /// What these send to other nodes is lost; the others are heard, and the database is reached.
    Mute(&'static [usize]),
    /// What is sent to these by other nodes is lost.
    Deaf(&'static [usize]),
    /// These and the others do not reach each other; all reach the database.
    Split(&'static [usize]),
    /// As [`Fault::Split`], and these do not reach the database either.
    SplitOff(&'static [usize]),
    /// The links of these pass 4 Mbit/s. What clients send them would take its share, so they send them nothing.
    Slow(&'static [usize]),
}

impl Fault {
    fn nodes(&self) -> &[usize] {
        match self {
            Self::Alone(node) => std::slice::from_ref(node),
            Self::Mute(some)
            | Self::Deaf(some)
            | Self::Split(some)
            | Self::SplitOff(some)
            | Self::Slow(some) => some,
        }
    }

    fn inflict(self, network: &Network) {
        let others = || (0..NODES).filter(|other| !self.nodes().contains(other));
        let cut_from_database = || {
            self.nodes().iter().for_each(|node| network.cut(*node, End::Database).unwrap());
        };
        match self {
            Self::Alone(_) | Self::SplitOff(_) => {
                network.split(self.nodes()).unwrap();
                cut_from_database();
            }
            Self::Split(some) => network.split(some).unwrap(),
            Self::Mute(some) => {
                for other in others() {
                    some.iter().for_each(|node| network.cut(*node, End::Node(other)).unwrap());
                }
            }
            Self::Deaf(some) => {
                for other in others() {
                    some.iter().for_each(|node| network.cut(other, End::Node(*node)).unwrap());
                }
            }
            Self::Slow(some) => some.iter().for_each(|node| network.slow(*node).unwrap()),
        }
    }

    /// Whether the other nodes have enough drives to serve everything.
    fn is_bearable(&self) -> bool {
        self.nodes().len() <= PARITY
    }

    fn is_slow(&self) -> bool {
        matches!(self, Self::Slow(_))
    }
}

/// Under load through all nodes, one fault after the other. During each that can be borne the nodes that are well go on,
/// and read everything; after each, all nodes do, and every volume is complete again by itself.
async fn through(faults: &[Fault]) {
    let mut cluster = Cluster::start_networked(NODES, 1).await.unwrap();
    let clients = cluster.clients().unwrap();
    clients[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    load(&clients, &ledger, 1, GoesOn::Surely).await;
    for (fault, seed) in faults.iter().zip((100..).step_by(100)) {
        let begun = Instant::now();
        let well = (0..NODES).filter(|node| !fault.nodes().contains(node));
        let well: Vec<Client> = well.map(|node| clients[node].clone()).collect();
        let through = if fault.is_slow() { &well } else { &clients };
        let all = Load::spread(through, &ledger, WORKERS, seed, OnFailure::AcceptUnavailable);
        tokio::time::sleep(Duration::from_secs(1)).await;
        fault.inflict(cluster.network().unwrap());
        tokio::time::sleep(LOAD_TIME * 2).await;
        all.finish().await.unwrap();
        eprintln!("{fault:?} for {:?}", begun.elapsed());
        let goes_on = if fault.is_bearable() { GoesOn::Surely } else { GoesOn::Perhaps };
        let went_on = load(&well, &ledger, seed + 1, goes_on).await;
        // Every read that begins at a slow link waits for it a moment before it asks elsewhere: minutes, for all keys.
        if fault.is_bearable() && !fault.is_slow() {
            ledger.verify(&well[0]).await.unwrap();
        }
        cluster.network().unwrap().heal().unwrap();
        cluster.wait_for(NODES).await.unwrap();
        load(&clients, &ledger, seed + 2, GoesOn::Surely).await;
        cluster.wait_complete(PARITY).await.unwrap();
        verify(&cluster, &ledger).await;
        eprintln!("{fault:?}: {went_on} writes meanwhile; whole again after {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_reach_nobody_or_are_not_heard_lose_nothing() {
    through(&[Fault::Alone(5), Fault::Mute(&[3]), Fault::Deaf(&[1, 4])]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_that_do_not_reach_each_other_and_slow_links_lose_nothing() {
    through(&[Fault::Split(&[0, 2, 5]), Fault::SplitOff(&[1, 2, 3]), Fault::Slow(&[4, 5])]).await;
}

#[tokio::test]
async fn two_nodes_that_swapped_their_drives_are_each_other() {
    let mut cluster = Cluster::start(6, 1).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let others: Vec<Client> = [0, 3, 4, 5].map(|node| cluster.nodes[node].client().unwrap()).to_vec();
    let meanwhile = Load::spread(&others, &ledger, WORKERS, 1, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    for node in &mut cluster.nodes[1..3] {
        node.stop().await.unwrap();
    }
    let path = |node: usize| cluster.nodes[node].drive_paths()[0].clone();
    let (one, two, aside) = (path(1), path(2), path(1).with_extension("aside"));
    std::fs::rename(&one, &aside).unwrap();
    std::fs::rename(&two, &one).unwrap();
    std::fs::rename(&aside, &two).unwrap();
    for node in &mut cluster.nodes[1..3] {
        node.launch().await.unwrap();
    }
    cluster.wait_for(6).await.unwrap();
    meanwhile.finish().await.unwrap();
    verify(&cluster, &ledger).await;
    load(&cluster.clients().unwrap(), &ledger, 2, GoesOn::Surely).await;
    verify(&cluster, &ledger).await;
    cluster.wait_complete(2).await.unwrap();
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").args(["-a", "--"]).arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

#[tokio::test]
async fn a_node_that_comes_back_with_an_older_state_serves_nothing_stale() {
    let mut cluster = Cluster::start(6, 1).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    load(&cluster.clients().unwrap(), &ledger, 1, GoesOn::Surely).await;
    let drive = cluster.nodes[5].drive_paths()[0].clone();
    let older = drive.with_extension("older");
    cluster.nodes[5].stop().await.unwrap();
    copy(&drive, &older);
    cluster.nodes[5].launch().await.unwrap();
    cluster.wait_for(6).await.unwrap();
    load(&cluster.clients().unwrap(), &ledger, 2, GoesOn::Surely).await;
    let others: Vec<Client> = cluster.nodes[..5].iter().map(|node| node.client().unwrap()).collect();
    let meanwhile = Load::spread(&others, &ledger, WORKERS, 3, OnFailure::AcceptUnavailable);
    cluster.nodes[5].kill().unwrap();
    // A drive restored from an image of the day before.
    std::fs::remove_dir_all(&drive).unwrap();
    std::fs::rename(&older, &drive).unwrap();
    cluster.nodes[5].launch().await.unwrap();
    cluster.wait_for(6).await.unwrap();
    tokio::time::sleep(LOAD_TIME).await;
    meanwhile.finish().await.unwrap();
    verify(&cluster, &ledger).await;
    cluster.nodes[0].admin(&["heal"]).await.unwrap();
    verify(&cluster, &ledger).await;
    cluster.wait_complete(2).await.unwrap();
}
