//! What simulations share: numbers that follow from a seed, and which seeds are run.
//!
//! `GRANARY_SIMULATION_SEEDS=1000` runs so many seeds more than usual, `GRANARY_SIMULATION_FIRST=77` begins with that one.

use std::time::Duration;

use parking_lot::Mutex;

/// Numbers that follow from a seed (SplitMix64: Steele, Lea and Flood, 2014).
pub(crate) struct Choices(Mutex<u64>);

impl Choices {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    pub(crate) fn is_one_in(&self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn millis_below(&self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }
}

/// Runs `simulation` once for each seed: those kept because they showed a mistake once, and `usual` others. The clock goes
/// on only when everything waits, so a run takes no time but the processor's, and is the same each time.
pub(crate) fn run_seeds<F: Future<Output = Vec<String>>>(
    kept: &[u64],
    usual: u64,
    simulation: impl Fn(u64) -> F,
) {
    let number = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("GRANARY_SIMULATION_FIRST").unwrap_or(0);
    let count = usual + number("GRANARY_SIMULATION_SEEDS").unwrap_or(0);
    for seed in kept.iter().copied().chain(first..first + count) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let wrong = runtime.map(|runtime| runtime.block_on(simulation(seed)));
        let wrong = wrong.unwrap_or_else(|error| vec![error.to_string()]);
        assert!(wrong.is_empty(), "seed {seed}: {} times wrong: {:?}", wrong.len(), wrong.first());
    }
}
