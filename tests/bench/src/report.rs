//! One line per scenario and target, as a table or as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::driver::Outcome;
use crate::machine::Speeds;

/// What moves less is not bound by bytes.
const LARGE_MB_PER_S_MIN: f64 = 200.0;

/// The figures of one scenario on one target.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The scenario.
    pub scenario: String,
    /// The server measured.
    pub target: String,
    /// Objects, keys or pages per second.
    pub per_s: f64,
    /// Body bytes per second, in 10^6.
    pub mb_per_s: f64,
    /// Latencies in milliseconds.
    pub p50_ms: f64,
    /// The latency of all but one in a hundred.
    pub p99_ms: f64,
    /// The latency of all but one in a thousand.
    pub p999_ms: f64,
    /// CPU seconds of the server for each GiB of bodies.
    pub cpu_s_per_gib: Option<f64>,
    /// CPU microseconds of the server for each thing done.
    pub cpu_us_per_op: Option<f64>,
    /// CPU microseconds of the load generator for each thing done.
    pub generator_us_per_op: f64,
    /// Flushes for each thing done, over all drives: of shards and of the metadata beside them.
    pub flushes_per_op: Option<f64>,
    /// Those of shards for each thing done and drive.
    pub shard_flushes_per_op_and_drive: Option<f64>,
    /// All of them for each thing done and drive.
    pub flushes_per_op_and_drive: Option<f64>,
    /// Peak resident memory during the scenario, of the largest of a target's processes.
    pub peak_memory_mib: Option<f64>,
    /// System calls for each thing done, where they were counted (which slows the server down).
    pub syscalls_per_op: Option<f64>,
}

/// What was used while a scenario ran.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// CPU seconds of the server.
    pub cpu_s: Option<f64>,
    /// CPU seconds of this process.
    pub generator_s: f64,
    /// Flushes of shards.
    pub shard_flushes: Option<f64>,
    /// Flushes of the metadata.
    pub metadata_flushes: Option<f64>,
    /// Peak memory.
    pub peak_memory_mib: Option<f64>,
    /// System calls.
    pub syscalls: Option<f64>,
    /// Drives the target has.
    pub drives: usize,
}

impl Row {
    /// Relates what was used to what was done.
    pub fn new(scenario: &str, target: &str, outcome: &Outcome, used: &Used) -> Self {
        let units = (outcome.units as f64).max(1.0);
        let gib = outcome.bytes as f64 / f64::from(1 << 30);
        let drives = used.drives.max(1) as f64;
        let shard_flushes_per_op = used.shard_flushes.map(|flushes| flushes / units);
        let flushes_per_op =
            shard_flushes_per_op.map(|flushes| flushes + used.metadata_flushes.unwrap_or_default() / units);
        Self {
            scenario: scenario.to_owned(),
            target: target.to_owned(),
            per_s: outcome.per_second(),
            mb_per_s: outcome.megabytes_per_second(),
            p50_ms: outcome.quantile_ms(500),
            p99_ms: outcome.quantile_ms(990),
            p999_ms: outcome.quantile_ms(999),
            cpu_s_per_gib: used.cpu_s.filter(|_| gib > 0.0).map(|seconds| seconds / gib),
            cpu_us_per_op: used.cpu_s.map(|seconds| seconds * 1e6 / units),
            generator_us_per_op: used.generator_s * 1e6 / units,
            flushes_per_op,
            shard_flushes_per_op_and_drive: shard_flushes_per_op.map(|flushes| flushes / drives),
            flushes_per_op_and_drive: flushes_per_op.map(|flushes| flushes / drives),
            peak_memory_mib: used.peak_memory_mib,
            syscalls_per_op: used.syscalls.map(|calls| calls / units),
        }
    }
}

/// The heading of [`line`].
pub fn heading() -> String {
    format!(
        "{:<26} {:<8} {:>10} {:>9} {:>8} {:>8} {:>8} {:>9} {:>8} {:>8} {:>9} {:>9} {:>9} {:>8} {:>8}",
        "scenario",
        "target",
        "per s",
        "MB/s",
        "p50 ms",
        "p99",
        "p99.9",
        "cpu s/GiB",
        "cpu us",
        "gen us",
        "flush/op",
        "/op/drive",
        "of shards",
        "peak MiB",
        "syscalls"
    )
}

/// A row for people.
pub fn line(row: &Row) -> String {
    let some = |value: Option<f64>, digits: usize| match value {
        Some(value) => format!("{value:.digits$}"),
        None => "-".to_owned(),
    };
    format!(
        "{:<26} {:<8} {:>10.1} {:>9.1} {:>8.2} {:>8.2} {:>8.2} {:>9} {:>8} {:>8.1} {:>9} {:>9} {:>9} {:>8} {:>8}",
        row.scenario,
        row.target,
        row.per_s,
        row.mb_per_s,
        row.p50_ms,
        row.p99_ms,
        row.p999_ms,
        some(row.cpu_s_per_gib, 2),
        some(row.cpu_us_per_op, 1),
        row.generator_us_per_op,
        some(row.flushes_per_op, 3),
        some(row.flushes_per_op_and_drive, 4),
        some(row.shard_flushes_per_op_and_drive, 4),
        some(row.peak_memory_mib, 0),
        some(row.syscalls_per_op, 1)
    )
}

/// How the first target compares with the other, scenario by scenario.
pub fn ratios(rows: &[Row], first: &str, other: &str) -> String {
    let mut text = format!("\n{:<26} {first} / {other}\n", "ratio of per s");
    for row in rows.iter().filter(|row| row.target == first) {
        let peer = rows.iter().find(|peer| peer.target == other && peer.scenario == row.scenario);
        if let Some(peer) = peer.filter(|peer| peer.per_s > 0.0) {
            let _ = writeln!(text, "{:<26} {:.2}", row.scenario, row.per_s / peer.per_s);
        }
    }
    text
}

/// How what moved many bytes compares with the machine's own speeds in the same run. Writes take 1.5 bytes on the disk for each
/// of a body with four data and two parity columns.
pub fn against(rows: &[Row], speeds: &Speeds) -> String {
    let many = rows.iter().filter(|row| row.mb_per_s > LARGE_MB_PER_S_MIN && row.cpu_s_per_gib.is_some());
    let mut text = String::new();
    for row in many {
        let (way, disk) = if row.scenario.starts_with("put") || row.scenario.contains(" in") {
            ("writes", speeds.direct_write_mb_per_s)
        } else {
            ("reads", speeds.direct_read_mb_per_s)
        };
        let (of_disk, of_md5) = (row.mb_per_s / disk, row.mb_per_s / speeds.md5_mb_per_s);
        let _ = writeln!(
            text,
            "{:<26} {:<8} {of_disk:>5.2} of the disk's {way}, {of_md5:.2} of one core's MD5",
            row.scenario, row.target
        );
    }
    text
}
