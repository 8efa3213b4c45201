//! `granary plan`: what a training run's checkpoints need of a store. Nothing is asked of any server: it is arithmetic,
//! and the output says which.
//!
//! * [`training`] tells how many bytes a checkpoint has.
//! * [`sizing`] tells what bandwidth, capacity and drives they need.
//! * [`formulas`] tells by which formulas, and where these are from.
//! * [`report`] prints it.

mod formulas;
mod report;
mod sizing;
mod training;

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytesize::ByteSize;
use clap::Args;

use crate::config::ErasureSetting;
use crate::output::{OutputFormat, print_json, print_line};
pub use formulas::Formula;
pub use sizing::{Plan, TierPlan};
pub use training::{Optimizer, Precision, Saved};

const PERCENT: f64 = 100.0;

/// What `granary plan` is told.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// Parameters of the model: 70e9, 70B, 7.5B, 350M.
    #[arg(long)]
    pub params: Parameters,
    /// The optimizer, for the state it keeps of each parameter.
    #[arg(long, value_enum, default_value_t = Optimizer::Adam)]
    pub optimizer: Optimizer,
    /// The precision the model is trained in; 16-bit training keeps a 32-bit master copy of the weights.
    #[arg(long, value_enum, default_value_t = Precision::Bf16)]
    pub precision: Precision,
    /// What a checkpoint holds.
    #[arg(long, value_enum, default_value_t = Saved::All)]
    pub save: Saved,
    /// How often a checkpoint is taken.
    #[arg(long, default_value = "30m", value_parser = positive_duration)]
    pub every: Duration,
    /// The longest that training may wait for a checkpoint to be written.
    #[arg(long, default_value = "60s", value_parser = positive_duration)]
    pub pause: Duration,
    /// Checkpoints kept on SSD.
    #[arg(long, default_value_t = 10)]
    pub keep: u32,
    /// Every so many-th checkpoint is archived on HDD; 0 archives none.
    #[arg(long, default_value_t = 0)]
    pub archive_every: u32,
    /// Checkpoints kept in the archive.
    #[arg(long, default_value_t = 0)]
    pub archive_keep: u32,
    /// Training data that lies on SSD besides: 20TB, 5TiB.
    #[arg(long, default_value = "0B")]
    pub dataset: ByteSize,
    /// The code of STANDARD.
    #[arg(long, default_value = "4+2")]
    pub ssd_code: ErasureSetting,
    /// The code of the archive.
    #[arg(long, default_value = "8+3")]
    pub hdd_code: ErasureSetting,
    /// The size of an SSD.
    #[arg(long, default_value = "7.68TB")]
    pub ssd_size: ByteSize,
    /// The size of an HDD.
    #[arg(long, default_value = "20TB")]
    pub hdd_size: ByteSize,
    /// What an SSD takes in sustained sequential writing, in MB/s.
    #[arg(long, default_value_t = 1500)]
    pub ssd_mb_per_s: u32,
    /// What an HDD takes in sequential writing, in MB/s, over its inner tracks too.
    #[arg(long, default_value_t = 150)]
    pub hdd_mb_per_s: u32,
    /// How full drives may be, in percent; the rest is for compaction, heal and growth.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub fill_percent: u8,
    /// The mean time between failures of the whole job; tells the interval that loses least.
    #[arg(long, value_parser = positive_duration)]
    pub mtbf: Option<Duration>,
}

/// A count of parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters(f64);

impl Parameters {
    /// More than any model has; beyond it the sums would no longer be exact.
    const MAX: f64 = 1e15;

    /// How many.
    #[must_use]
    pub fn count(self) -> f64 {
        self.0
    }
}

impl FromStr for Parameters {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, factor) = match text.trim().split_at_checked(text.trim().len().saturating_sub(1)) {
            Some((number, "K" | "k")) => (number, 1e3),
            Some((number, "M" | "m")) => (number, 1e6),
            Some((number, "B" | "b" | "G")) => (number, 1e9),
            Some((number, "T" | "t")) => (number, 1e12),
            _ => (text.trim(), 1.0),
        };
        match number.parse::<f64>().map(|number| (number * factor).round()) {
            Ok(count) if (1.0..=Self::MAX).contains(&count) => Ok(Self(count)),
            _ => Err(format!("{text:?} is not a count of parameters, such as 70e9 or 7.5B")),
        }
    }
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        Ok(_) => Err("it must be a second or longer".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Works the plan out and prints it.
///
/// # Errors
/// Settings that contradict each other.
pub fn run(args: &PlanArgs, format: OutputFormat) -> Result<()> {
    ensure!(
        (args.archive_every == 0) == (args.archive_keep == 0),
        "an archive needs both --archive-every and --archive-keep"
    );
    ensure!(
        args.pause <= args.every,
        "a checkpoint that takes longer (--pause) than until the next (--every)"
    );
    let sizes = [args.ssd_size.as_u64(), args.hdd_size.as_u64()];
    let speeds = [args.ssd_mb_per_s, args.hdd_mb_per_s];
    ensure!(!sizes.contains(&0) && !speeds.contains(&0), "drives have a size and a speed");
    let plan = Plan::of(args);
    match format {
        OutputFormat::Json => print_json(&plan),
        OutputFormat::Text => print_line(&report::text(args, &plan)),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
