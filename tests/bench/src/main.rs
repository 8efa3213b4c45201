//! The load generator of `cargo xtask bench`: starts the servers on this machine, runs the scenarios
//! against each in turn, and prints the figures. Load goes to 127.0.0.1 only.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a benchmark is for")]

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use granary_bench::cluster::Cluster;
use granary_bench::disks::Speed;
use granary_bench::faults::{Loss, SIZES};
use granary_bench::kinds;
use granary_bench::machine::{Speeds, cpu_seconds, peak_memory_mib, reset_peak_memory};
use granary_bench::prefetch::Prefetch;
use granary_bench::records::{start_embedded, start_postgres};
use granary_bench::report::{Row, Used, against, heading, line, ratios};
use granary_bench::scenarios::{Left, Scale, Scenario};
use granary_bench::syscalls::Counting;
use granary_bench::target::{Started, Target, start_garage, start_granary};
use granary_bench::tiers::{Load, Transition};

const SHARD_FLUSHES: &str = "granary_flushes_total{of=\"shards\"}";
const METADATA_FLUSHES: &str = "granary_flushes_total{of=\"metadata\"}";

#[derive(Parser)]
#[command(name = "cargo xtask bench --")]
struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Measure a peer in the same run, scenario by scenario.
    #[arg(long)]
    compare: Option<Peer>,
    /// Measure whatever listens at this http:// URL instead of starting anything.
    #[arg(long)]
    target: Option<String>,
    /// Only scenarios, or sizes of --tiers, whose name contains one of these (those they read from must be among them).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seconds each timed scenario runs.
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Repeat each scenario so often, the servers taking turns; the median is printed.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Drive directories (of each node); six make 4+2. [default: 6, with --nodes 1]
    #[arg(long)]
    drives: Option<usize>,
    /// Measure a cluster of so many nodes and one Postgres on this machine; clients are spread over the nodes.
    #[arg(long)]
    nodes: Option<usize>,
    /// Instead of the scenarios: reads with a drive lost, and its heal, for small and for large objects; with --nodes, a node with its
    /// drives.
    #[arg(long)]
    faults: bool,
    /// Instead of the scenarios: small puts and gets in plain, versioned and encrypted buckets of one server.
    #[arg(long)]
    kinds: bool,
    /// The data that --faults stores for each size of objects, in MiB.
    #[arg(long, default_value_t = 2048)]
    faults_mib: u64,
    /// Instead of the scenarios: a rule moves objects from SSDs to disks (--drives of each), small and then large ones, alone and
    /// while clients read.
    #[arg(long)]
    tiers: bool,
    /// Instead of the scenarios: small objects on disks (--drives of them, and as many SSDs) are read by 64 clients, and prefetched to the
    /// SSDs, each with an empty page cache.
    #[arg(long)]
    prefetch: bool,
    /// How many objects --prefetch reads each time.
    #[arg(long, default_value_t = 100_000)]
    prefetch_objects: u64,
    /// The disks of --tiers and --prefetch are file systems of their own, on loop devices that the kernel holds to 150 operations and
    /// 160 MB a second. Needs root.
    #[arg(long)]
    slow_disks: bool,
    /// The data that --tiers moves each time, in MiB.
    #[arg(long, default_value_t = 1024)]
    tiers_mib: u64,
    /// How many objects the clients of --tiers read a second, all together; as many as they can if it is not given.
    #[arg(long)]
    tiers_reads: Option<NonZeroU32>,
    /// Instead of the scenarios: puts, gets and listings among so many records of objects, which are written into the
    /// metadata before; for each number a store of its own, measured in turns.
    #[arg(long, value_delimiter = ',')]
    records: Vec<u64>,
    /// Where the metadata is that --records fills.
    #[arg(long, default_value = "embedded")]
    metadata: Metadata,
    /// A million keys to list rather than a tenth of that.
    #[arg(long)]
    full: bool,
    /// Keys to list.
    #[arg(long)]
    keys: Option<u64>,
    /// The streamed object, in GiB.
    #[arg(long, default_value_t = 5)]
    stream_gib: u64,
    /// Count system calls (strace): the rates then mean nothing.
    #[arg(long)]
    syscalls: bool,
    /// Where the drives are made; the file system decides much.
    #[arg(long, default_value = "target/bench-data")]
    dir: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    Garage,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Metadata {
    /// On the drives.
    Embedded,
    /// In a Postgres for each store, which flushes.
    Postgres,
}

struct Contestant {
    target: Target,
    left: Left,
    _process: Process,
}

/// What has to live as long as the target is measured.
enum Process {
    Elsewhere,
    One { _server: Started },
    Several { _cluster: Box<Cluster> },
}

/// One core for the generator, so that the server has the rest.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.dir).context("the bench directory")?;
    let run_dir = tempfile::Builder::new().prefix("run-").tempdir_in(&args.dir)?;
    let speeds = Speeds::measure(run_dir.path())?;
    if !args.json {
        println!("{}", speeds.line());
    }
    if args.faults {
        return measure_faults(&args, run_dir.path(), &speeds).await;
    }
    if args.tiers {
        return measure_tiers(&args, run_dir.path(), &speeds).await;
    }
    if args.prefetch {
        return measure_prefetch(&args, run_dir.path(), &speeds).await;
    }
    if args.kinds {
        return measure_kinds(&args, run_dir.path(), &speeds).await;
    }
    if !args.json {
        println!("{}", heading());
    }
    let mut contestants = contestants(&args, run_dir.path()).await?;
    let mut rows = Vec::new();
    let all: &[Scenario] = if args.records.is_empty() { &Scenario::ALL } else { &Scenario::RECORDS };
    for scenario in all.iter().copied().filter(|scenario| args.selects(scenario.name())) {
        rows.extend(run_scenario(&args, scenario, &mut contestants, run_dir.path()).await?);
    }
    ensure!(!rows.is_empty(), "--only selects nothing");
    if args.json {
        println!(
            "{}",
            serde_json::to_string_pretty(&serde_json::json!({ "machine": speeds, "rows": rows }))?
        );
        return Ok(());
    }
    println!("{}", against(&rows, &speeds));
    if let [first, second, ..] = contestants.as_slice() {
        println!("{}", ratios(&rows, &first.target.name, &second.target.name));
    }
    Ok(())
}

async fn measure_faults(args: &Args, dir: &std::path::Path, speeds: &Speeds) -> Result<()> {
    let mut losses = Vec::new();
    for (number, size) in SIZES.into_iter().enumerate() {
        let dir = dir.join(format!("size{number}"));
        let time = Duration::from_secs_f64(args.seconds);
        let total_bytes = args.faults_mib << 20;
        let loss = match args.nodes {
            Some(nodes) => {
                let each = (nodes, args.drives.unwrap_or(1));
                Loss::of_node(&dir, each, size, total_bytes, time).await?
            }
            None => Loss::of_drive(&dir, args.drives.unwrap_or(6), size, total_bytes, time).await?,
        };
        if !args.json {
            println!("{}", loss.line());
        }
        losses.push(loss);
    }
    if args.json {
        let report = serde_json::json!({ "machine": speeds, "losses": losses });
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(())
}

async fn measure_tiers(args: &Args, dir: &std::path::Path, speeds: &Speeds) -> Result<()> {
    let time = Duration::from_secs_f64(args.seconds);
    let selects = |name: &str| args.selects(name);
    let load = args.tiers_reads.map_or(Load::Full, Load::PerSecond);
    let (disks, bytes) = (args.disks(), args.tiers_mib << 20);
    let transitions = Transition::measure_all(dir, disks, bytes, (time, load), selects).await?;
    ensure!(!transitions.is_empty(), "--only selects nothing");
    if args.json {
        let report = serde_json::json!({ "machine": speeds, "transitions": transitions });
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        transitions.iter().for_each(|transition| println!("{}", transition.line()));
    }
    Ok(())
}

async fn measure_prefetch(args: &Args, dir: &std::path::Path, speeds: &Speeds) -> Result<()> {
    let prefetch = Prefetch::measure(&dir.join("prefetch"), args.disks(), args.prefetch_objects).await?;
    if args.json {
        let report = serde_json::json!({ "machine": speeds, "prefetch": prefetch });
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", prefetch.line());
    }
    Ok(())
}

async fn measure_kinds(args: &Args, dir: &std::path::Path, speeds: &Speeds) -> Result<()> {
    let time = Duration::from_secs_f64(args.seconds);
    let costs = kinds::measure(&dir.join("kinds"), args.drives.unwrap_or(6), args.rounds, time).await?;
    if args.json {
        let report = serde_json::json!({ "machine": speeds, "kinds": costs });
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    costs.iter().for_each(|cost| println!("{}", cost.line()));
    Ok(())
}

impl Args {
    fn selects(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    /// How many disks, and as many SSDs, and what the disks can do.
    fn disks(&self) -> (usize, Speed) {
        let speed = if self.slow_disks { Speed::Slow } else { Speed::AsTheyAre };
        (self.drives.unwrap_or(6), speed)
    }

    fn scale(&self) -> Scale {
        Scale {
            time: Duration::from_secs_f64(self.seconds),
            list_keys: self.keys.unwrap_or(if self.full { 1_000_000 } else { 100_000 }),
            delete_keys: 64_000,
            stream_gib: self.stream_gib,
        }
    }
}

async fn contestants(args: &Args, dir: &std::path::Path) -> Result<Vec<Contestant>> {
    if let Some(url) = &args.target {
        let target = Target::running(url)?;
        target.create_bucket().await?;
        return Ok(vec![Contestant { target, left: Left::default(), _process: Process::Elsewhere }]);
    }
    if !args.records.is_empty() {
        return grown(args, dir).await;
    }
    let dir_of_ours = dir.join("granary");
    let ours = match args.nodes {
        Some(nodes) => {
            let cluster = Cluster::start(&dir_of_ours, nodes, args.drives.unwrap_or(1)).await?;
            let target = cluster.target.clone();
            let process = Process::Several { _cluster: Box::new(cluster) };
            Contestant { target, left: Left::default(), _process: process }
        }
        None => contestant(start_granary(&dir_of_ours, args.drives.unwrap_or(6)).await?),
    };
    let mut all = vec![ours];
    if args.compare == Some(Peer::Garage) {
        all.push(contestant(start_garage(&dir.join("garage")).await?));
    }
    Ok(all)
}

/// A store for each number of records.
async fn grown(args: &Args, dir: &std::path::Path) -> Result<Vec<Contestant>> {
    let mut all = Vec::new();
    for records in args.records.iter().copied() {
        let dir = dir.join(format!("records{records}"));
        let begun = std::time::Instant::now();
        let mut grown = match args.metadata {
            Metadata::Embedded => contestant(start_embedded(&dir, args.drives.unwrap_or(6), records).await?),
            Metadata::Postgres => {
                let cluster = start_postgres(&dir, args.drives.unwrap_or(1), records).await?;
                let target = cluster.target.clone();
                Contestant {
                    target,
                    left: Left::default(),
                    _process: Process::Several { _cluster: Box::new(cluster) },
                }
            }
        };
        if !args.json {
            println!("{records} records were written in {:.0} s", begun.elapsed().as_secs_f64());
        }
        grown.target.name = format!("{records} records");
        grown.left.records = records;
        all.push(grown);
    }
    Ok(all)
}

fn contestant(server: Started) -> Contestant {
    let target = server.target.clone();
    Contestant { target, left: Left::default(), _process: Process::One { _server: server } }
}

/// Runs a scenario on every contestant, in turns; returns each one's median row.
async fn run_scenario(
    args: &Args,
    scenario: Scenario,
    contestants: &mut [Contestant],
    dir: &std::path::Path,
) -> Result<Vec<Row>> {
    let scale = args.scale();
    for contestant in contestants.iter_mut() {
        scenario.prepare(&contestant.target, &mut contestant.left, &scale).await?;
    }
    let rounds = if scenario.is_repeatable() { args.rounds.max(1) } else { 1 };
    let mut rows: Vec<Vec<Row>> = contestants.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (contestant, rows) in contestants.iter_mut().zip(&mut rows) {
            let row = measure(args, scenario, contestant, &scale, dir).await;
            rows.push(row.with_context(|| format!("{} on {}", scenario.name(), contestant.target.name))?);
        }
    }
    let mut medians = Vec::new();
    for mut rows in rows {
        rows.sort_by(|left, right| left.per_s.total_cmp(&right.per_s));
        medians.extend(rows.get(rows.len() / 2).cloned());
    }
    for row in medians.iter().filter(|_| !args.json) {
        println!("{}", line(row));
    }
    Ok(medians)
}

async fn measure(
    args: &Args,
    scenario: Scenario,
    contestant: &mut Contestant,
    scale: &Scale,
    dir: &std::path::Path,
) -> Result<Row> {
    let target = contestant.target.clone();
    let counting = match target.pids.as_slice() {
        [pid] if args.syscalls => Some(Counting::start(*pid, dir.join("strace.txt")).await?),
        _ => None,
    };
    for pid in &target.pids {
        reset_peak_memory(*pid)?;
    }
    let own = std::process::id();
    let before = (cpu_of(&target)?, cpu_seconds(own)?, flushes_of(&target).await);
    let outcome = scenario.run(&target, &mut contestant.left, scale).await?;
    let after = (cpu_of(&target)?, cpu_seconds(own)?, flushes_of(&target).await);
    let peaks = target.pids.iter().map(|pid| peak_memory_mib(*pid)).collect::<Result<Vec<_>>>()?;
    let used = Used {
        cpu_s: after.0.zip(before.0).map(|(after, before)| after - before),
        generator_s: after.1 - before.1,
        shard_flushes: after.2.0.map(|after| after - before.2.0.unwrap_or_default()),
        metadata_flushes: after.2.1.map(|after| after - before.2.1.unwrap_or_default()),
        peak_memory_mib: peaks.into_iter().reduce(f64::max),
        syscalls: counting.map(Counting::finish).transpose()?,
        drives: target.drives,
    };
    Ok(Row::new(scenario.name(), &target.name, &outcome, &used))
}

/// The flushes of shards and of the metadata until now, where the target tells them.
async fn flushes_of(target: &Target) -> (Option<f64>, Option<f64>) {
    (target.counter(SHARD_FLUSHES).await, target.counter(METADATA_FLUSHES).await)
}

/// The CPU seconds of all of a target's processes; `None` if it was not started here.
fn cpu_of(target: &Target) -> Result<Option<f64>> {
    let each = target.pids.iter().map(|pid| cpu_seconds(*pid)).collect::<Result<Vec<_>>>()?;
    Ok(each.into_iter().reduce(|sum, seconds| sum + seconds))
}
