//! Nodes in a simulation: the code that beats, looks, leads, claims and counts reads, as it is, over metadata in memory and a
//! clock that only goes on when everyone waits. A seed decides what every call to the metadata comes to, which nodes stand still
//! or are cut off and for how long, and what is read and replaced meanwhile; the same seed is the same run.
//!
//! What must hold in each: one node leads at most; one holds a claim at most; no read is delivered from a volume whose files
//! are gone. And when nothing is wrong any more, some node leads and all that is free is removed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod memory;
mod node;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use granary_metadata::conformance::membership;
use granary_metadata::{Membership as _, NewNode};
use granary_types::VolumeId;
use memory::{Link, World};
use node::SimulatedNode;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::Nodes;
use crate::simulated::run_seeds;

const NODES: usize = 3;
const KEYS: u64 = 4;
/// How long things go wrong.
const TROUBLE: Duration = Duration::from_mins(12);
/// How long everything may take that is late then: reads, nodes that are waited for.
const CALM: Duration = Duration::from_mins(12);
/// How often what must always hold is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const READS_MIN: u64 = 100;
const SEEDS: u64 = 60;
/// Seeds that showed a mistake once: each sign of life counted when it came, so that two that were late together looked as if
/// the second had been measured after the look between.
const KEPT: [u64; 1] = [15];

/// What all nodes of a run do to the outside.
struct Shared {
    world: Arc<World>,
    /// Volumes whose files are gone.
    removed: Mutex<BTreeSet<VolumeId>>,
    /// What went against what must hold.
    wrong: Mutex<Vec<String>>,
    reads: Mutex<u64>,
}

impl Shared {
    fn blame(&self, what: String) {
        self.wrong.lock().push(what);
    }

    fn choose(&self, bound: u64) -> u64 {
        self.world.choices.below(bound)
    }
}

fn new_node(number: u64) -> NewNode {
    NewNode {
        id: membership::node_id(number),
        address: format!("10.0.0.{number}:9100"),
        zone: String::new(),
        version: "1".to_owned(),
        schema: 1,
    }
}

/// A node alone, to whose metadata nothing happens.
pub(super) fn calm_nodes() -> Arc<Nodes> {
    let world = World::new(0);
    *world.is_calm.lock() = true;
    Arc::new(node::nodes(1, Arc::new(Link::new(Arc::new(world)))))
}

/// Runs a seed; returns what went wrong.
async fn run(seed: u64) -> Vec<String> {
    let shared = Arc::new(Shared {
        world: Arc::new(World::new(seed)),
        removed: Mutex::default(),
        wrong: Mutex::default(),
        reads: Mutex::new(0),
    });
    for key in 0..KEYS {
        shared.world.state.lock().replace(key);
    }
    let mut nodes = Vec::new();
    for number in 1..=NODES as u64 {
        let node = Arc::new(SimulatedNode::new(number, &shared));
        while !matches!(node.link.join(new_node(number)).await, Ok(true)) {}
        node.start();
        nodes.push(node);
    }
    let begun = Instant::now();
    let mut next_trouble = begun;
    while begun.elapsed() < TROUBLE {
        if Instant::now() >= next_trouble {
            next_trouble += Duration::from_secs(2 + shared.choose(30));
            make_trouble(&shared, &nodes);
        }
        look(&shared, &nodes);
        sleep(LOOK_INTERVAL).await;
    }
    *shared.world.is_calm.lock() = true;
    let calm = Instant::now();
    while calm.elapsed() < CALM {
        look(&shared, &nodes);
        sleep(LOOK_INTERVAL).await;
    }
    if !nodes.iter().any(|node| node.nodes.leads()) {
        shared.blame("nobody leads when all is well".to_owned());
    }
    let left = shared.world.state.lock().freed.len();
    if left > 0 {
        shared.blame(format!("{left} free volumes are still there when all is well"));
    }
    if *shared.reads.lock() < READS_MIN {
        shared.blame("hardly anything was read".to_owned());
    }
    shared.wrong.lock().clone()
}

/// Something goes wrong, or is mended by itself later.
fn make_trouble(shared: &Shared, nodes: &[Arc<SimulatedNode>]) {
    let choices = &shared.world.choices;
    let node = &nodes[usize::try_from(choices.below(NODES as u64)).unwrap()];
    let longest_ms = if choices.is_one_in(6) { 330_000 } else { 40_000 };
    let until = Instant::now() + choices.millis_below(longest_ms);
    match choices.below(5) {
        0 => *node.link.frozen_until.lock() = until,
        1 => *node.link.cut_until.lock() = until,
        2 => *shared.world.away_until.lock() = Instant::now() + choices.millis_below(30_000),
        3 => *shared.world.slow_until.lock() = until,
        _ => {}
    }
}

/// What must hold at every time.
fn look(shared: &Shared, nodes: &[Arc<SimulatedNode>]) {
    let leading = nodes.iter().filter(|node| node.nodes.leads()).count();
    if leading > 1 {
        shared.blame(format!("{leading} nodes lead"));
    }
    let holding = nodes.iter().filter(|node| node.holds_claim()).count();
    if holding > 1 {
        shared.blame(format!("{holding} nodes hold one claim"));
    }
}

#[test]
fn whatever_goes_wrong_one_leads_and_no_read_loses_its_files() {
    run_seeds(&KEPT, SEEDS, run);
}

#[tokio::test(start_paused = true)]
async fn the_metadata_in_memory_is_what_nodes_share() {
    let fresh = || {
        let world = World::new(0);
        *world.is_calm.lock() = true;
        Link::new(Arc::new(world))
    };
    membership::the_first_store_keeps_the_database(&fresh()).await;
    membership::signs_of_life_count_once(&fresh()).await;
    membership::leases_have_one_holder(&fresh()).await;
    membership::who_held_a_lease_once_does_not_hold_the_next(&fresh()).await;
}
