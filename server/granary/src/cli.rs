//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use granary_admin::{Fate, Leaving, TaskKind};
use granary_s3::{ObjectOwnership, TransitionMinimum};
use serde::Serialize;

use crate::config::{self, Config, DialectSettings, ErasureSetting, FullSetting, NodeSettings, WarmSettings};
use crate::keyring::command::{self as keyring, KeyringCommand};
use crate::metadata::migrate::{MigrateArgs, migrate};
use crate::metadata::recover::{RecoverArgs, recover};
use crate::metadata::{self, MetadataCommand};
use crate::notify::TargetSetting;
use crate::operate::{
    self, BucketCommand, DrainArgs, KeyCommand, PolicyCommand, Target, UnpinArgs, UserCommand, WarmArgs,
};
use crate::output::{OutputFormat, print_notice};
use crate::plan::{self, PlanArgs};
use crate::serve;
use crate::telemetry::LogFormat;

/// Granary: an S3-compatible object store for AI training data.
#[derive(Debug, Parser)]
#[command(name = "granary", version, about, propagate_version = true)]
pub struct Cli {
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve S3 from the given drives.
    Serve(ServeArgs),
    /// Tell whether a store is well, in short: nodes, drives, room, and what is under way. The exit code is 1 if something is wrong.
    Status(Target),
    /// The configuration of `serve`.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The drives of a running server.
    #[command(subcommand)]
    Drive(DriveCommand),
    /// The nodes of a running store.
    #[command(subcommand)]
    Node(NodeCommand),
    /// The volumes of a running server.
    #[command(subcommand)]
    Volume(VolumeCommand),
    /// What buckets hold and may hold.
    #[command(subcommand)]
    Bucket(BucketCommand),
    /// The storage classes of a running server, and the drives they lie on.
    #[command(subcommand)]
    Tier(TierCommand),
    /// Users, each with an account of its own or in one.
    #[command(subcommand)]
    User(UserCommand),
    /// Access keys of users.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Policies of users.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// The metadata of a store: copies, backups, and what was lost.
    #[command(subcommand)]
    Metadata(MetadataCommand),
    /// The keys that objects are encrypted under.
    #[command(subcommand)]
    Keyring(KeyringCommand),
    /// Bring the schema of the metadata's database up to this version; what `serve` does by itself at start.
    Migrate(MigrateArgs),
    /// Make the metadata anew from the blocks on the drives, for the day the database and its backups are gone.
    ///
    /// No server may run. Without --apply it only reports what it would write.
    Recover(RecoverArgs),
    /// Rebuild missing and damaged shards.
    Heal(TaskArgs),
    /// Read and check everything.
    Scrub(TaskArgs),
    /// Work out what a training run's checkpoints need: bandwidth, capacity, drives. Asks no server.
    Plan(Box<PlanArgs>),
    /// For tests of this program.
    #[command(subcommand, hide = true)]
    Debug(DebugCommand),
}

#[derive(Debug, Subcommand)]
enum DebugCommand {
    /// The names that GRANARY_CRASH_POINT may take in builds with debug assertions.
    CrashPoints,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Validate the settings and print them; starts nothing.
    Check(ServeArgs),
}

#[derive(Debug, Subcommand)]
enum DriveCommand {
    /// List the drives of all nodes and their state.
    List(Target),
    /// Show what emptying a drive would move, and empty it with --apply.
    Drain {
        /// The id of the drive, or the beginning of it.
        id: String,
        #[command(flatten)]
        args: DrainArgs,
        /// Stop emptying it; what was moved stays where it is.
        #[arg(long, conflicts_with = "apply")]
        cancel: bool,
    },
    /// Put one drive in the place of another, which may be lost: its shards are copied or rebuilt, and it is retired.
    Replace {
        /// The id of the drive that goes, or the beginning of it.
        old: String,
        /// The id of the drive that takes its place, or the beginning of it.
        new: String,
        #[command(flatten)]
        args: DrainArgs,
        /// The old drive cannot be read and is lost for good, not only away.
        #[arg(long)]
        lost: bool,
    },
    /// Retire a drive that was drained.
    Remove {
        /// The id of the drive, or the beginning of it.
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Show what is being moved between drives, and how long it will take.
    Moves(Target),
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// List the nodes and whether they live.
    List(Target),
    /// Show what emptying all drives of a node would move, and empty them with --apply.
    Drain {
        /// The address of the node as listed, its id, or the beginning of its id.
        name: String,
        #[command(flatten)]
        args: DrainArgs,
        /// Stop emptying them; what was moved stays where it is.
        #[arg(long, conflicts_with = "apply")]
        cancel: bool,
    },
    /// Remove a node for good: one that was drained, or one that is dead; what a dead one held is rebuilt on the others.
    Remove {
        /// The address of the node as listed, its id, or the beginning of its id.
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, Subcommand)]
enum VolumeCommand {
    /// List the volumes and what they hold.
    List(Target),
    /// Repack volumes with much dead space, and free it.
    Compact(TaskArgs),
}

#[derive(Debug, Subcommand)]
enum TierCommand {
    /// List the storage classes, where each lies, and how full the drives of each kind are.
    List(Target),
    /// Restore the archived objects below a prefix for some days, as RestoreObject does one.
    Restore(operate::RestoreArgs),
    /// Copy objects that lie on disks to SSDs, for as long as nothing else needs the room.
    Prefetch(WarmArgs),
    /// Copy them and what comes to the prefix later to SSDs, until the prefix is unpinned.
    Pin(WarmArgs),
    /// Pin a prefix no longer.
    Unpin(UnpinArgs),
    /// List the pinned prefixes.
    Pins(Target),
    /// List what is prefetched, pinned and restored by all nodes: how far it is, how long it takes, and who does it.
    Jobs(Target),
}

#[derive(Debug, Args)]
struct TaskArgs {
    #[command(flatten)]
    target: Target,
    /// Start it and do not wait for its end.
    #[arg(long)]
    detach: bool,
}

/// Settings given on the command line; they override the environment and the file.
#[derive(Debug, Args, Serialize)]
struct ServeArgs {
    /// A TOML file with settings.
    #[arg(long, env = "GRANARY_CONFIG")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// A drive's directory; once for each drive, or a range: /mnt/d{1...6}. With ssd: or hdd: before it, what the drives are
    /// made of, where the kernel does not know it.
    #[arg(long, value_name = "[CLASS:]DIRECTORY")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data: Vec<String>,
    /// The address to serve at [default: 127.0.0.1:9000].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// Where the metadata is: embedded on the drives, or a postgres:// URL [default: embedded].
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    // Read with the other settings: an argument that clap refuses is printed, and this one may hold a password.
    metadata: Option<String>,
    /// The erasure code, k+m [default: by the number of drives].
    #[arg(long, value_name = "K+M")]
    #[serde(skip_serializing_if = "Option::is_none")]
    erasure: Option<ErasureSetting>,
    /// Where a storage class lies: GLACIER=hdd, or GLACIER=hdd:8+3 with an erasure code; may be repeated [default: STANDARD
    /// on ssd and the others on hdd, if the store has drives of both classes].
    #[arg(long, value_name = "CLASS=DRIVES[:K+M]")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tier: Vec<String>,
    /// What becomes of writes to SSDs that are full: refuse, or spill to the disks [default: refuse].
    #[arg(long, value_name = "POLICY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    when_ssd_full: Option<FullSetting>,
    #[command(flatten)]
    #[serde(flatten)]
    warm: WarmSettings,
    /// The region the store is in, which requests must be signed for [default: us-east-1].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    /// A domain whose subdomains are bucket names; may be repeated.
    #[arg(long)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    domain: Vec<String>,
    /// A domain whose subdomains are the websites of buckets; may be repeated.
    #[arg(long, value_name = "DOMAIN")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    website_domain: Vec<String>,
    /// PEM file with the TLS certificate chain.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the TLS private key.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<PathBuf>,
    /// For tests: how many seconds a day of a lifecycle rule or an inventory lasts [default: a day is a day].
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    debug_lifecycle_day_seconds: Option<u64>,
    /// The file with the keys that objects are encrypted under, made by `granary keyring create`; all nodes of a store
    /// need the same keys [default: a file on each drive, made at the first start; none on a node].
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    keyring: Option<PathBuf>,
    /// Encrypt objects whose bucket and request say nothing of it, as with x-amz-server-side-encryption: AES256.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    encrypt_by_default: bool,
    /// Take keys of clients (SSE-C) without TLS: for tests, and where a proxy before this server ends TLS.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_sse_c_over_http: bool,
    #[command(flatten)]
    #[serde(flatten)]
    dialect: DialectSettings,
    /// Who owns the objects of new buckets: BucketOwnerEnforced (there are no ACLs), BucketOwnerPreferred or ObjectWriter
    /// [default: BucketOwnerEnforced].
    #[arg(long, value_name = "OWNERSHIP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    default_object_ownership: Option<ObjectOwnership>,
    /// Whether public access to new buckets is blocked [default: true].
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    default_block_public_access: Option<bool>,
    /// Which objects new lifecycle rules leave where they are that do not say: all_storage_classes_128K, or
    /// varies_by_storage_class (archives take smaller ones) [default: all_storage_classes_128K].
    #[arg(long, value_name = "MINIMUM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    transition_default_minimum_object_size: Option<TransitionMinimum>,
    /// Where buckets may have their events sent, NAME=https://…; may be repeated. A bucket names it by the ARN
    /// arn:granary:sqs:REGION:ACCOUNT:NAME.
    #[arg(long, value_name = "NAME=URL")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notify: Vec<TargetSetting>,
    /// The file with the secrets that messages to them are signed with: lines of NAME=SECRET.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    notify_secret_file: Option<PathBuf>,
    /// Let them be on this machine or in private networks, and be spoken to without TLS.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    notify_allow_private: bool,
    /// PEM file with certificates to trust there, beside those that the machine trusts.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    notify_ca_cert: Option<PathBuf>,
    /// Let the OpenID Connect providers of accounts be on this machine or in private networks.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    identity_provider_allow_private: bool,
    /// PEM file with certificates to trust there, beside those that the machine trusts.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_provider_ca_cert: Option<PathBuf>,
    /// What to log, e.g. info,granary_engine=debug [default: info].
    #[arg(long, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// The form of the log [default: text].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<LogFormat>,
    /// Connections at a time [default: 4096].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<usize>,
    /// Requests at a time [default: 1024].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_requests: Option<usize>,
    /// How long requests in progress may take after SIGTERM [default: 30000].
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_timeout_ms: Option<u64>,
    #[command(flatten)]
    #[serde(flatten)]
    node: NodeSettings,
    /// Bytes a second that are moved at most to empty drives, to make them equally full, and between tiers [default: 500000000].
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    move_rate_bytes: Option<u64>,
}

impl ServeArgs {
    fn load(&self) -> Result<Config> {
        Config::load(self.config.as_deref(), self)
    }
}

/// Parses the command line, runs the command, and reports its failure.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            print_notice(&format!("granary: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let format = if cli.json { OutputFormat::Json } else { OutputFormat::Text };
    match cli.command {
        Command::Serve(args) => {
            let config = args.load()?;
            let workers = config.settings.workers;
            runtime(workers)?.block_on(serve::serve(config))?;
        }
        Command::Status(target) => return runtime(1)?.block_on(operate::status(&target, format)),
        Command::Config(ConfigCommand::Check(args)) => config::report(&args.load()?, format)?,
        Command::Drive(command) => runtime(1)?.block_on(drive(command, format))?,
        Command::Node(command) => runtime(1)?.block_on(node(command, format))?,
        Command::Volume(VolumeCommand::List(target)) => {
            runtime(1)?.block_on(operate::list_volumes(&target, format))?;
        }
        Command::Bucket(command) => runtime(1)?.block_on(operate::bucket(command, format))?,
        Command::Tier(command) => return runtime(1)?.block_on(tier(command, format)),
        Command::User(command) => runtime(1)?.block_on(operate::user(command, format))?,
        Command::Key(command) => runtime(1)?.block_on(operate::key(command, format))?,
        Command::Policy(command) => runtime(1)?.block_on(operate::policy(command, format))?,
        Command::Metadata(command) => runtime(0)?.block_on(metadata::run(&command, format))?,
        Command::Recover(args) => return runtime(0)?.block_on(recover(&args, format)),
        Command::Keyring(command) => keyring::run(&command, format)?,
        Command::Migrate(args) => runtime(1)?.block_on(migrate(&args, format))?,
        Command::Plan(args) => plan::run(&args, format)?,
        Command::Volume(VolumeCommand::Compact(args)) => return task(&args, TaskKind::Compact, format),
        Command::Heal(args) => return task(&args, TaskKind::Heal, format),
        Command::Scrub(args) => return task(&args, TaskKind::Scrub, format),
        Command::Debug(DebugCommand::CrashPoints) => {
            for name in granary_types::CRASH_POINTS {
                crate::output::print_line(name)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn drive(command: DriveCommand, format: OutputFormat) -> Result<()> {
    match command {
        DriveCommand::List(target) => operate::list_drives(&target, format).await,
        DriveCommand::Drain { id, args, cancel: true } => {
            operate::cancel_drain(&args.target, &Leaving::Drive(id), format).await
        }
        DriveCommand::Drain { id, args, cancel: false } => {
            operate::drain(&args, &Leaving::Drive(id), format).await
        }
        DriveCommand::Replace { old, new, args, lost } => {
            let fate = if lost { Fate::Lost } else { Fate::Unsaid };
            operate::drain(&args, &Leaving::Replaced { old, new, fate }, format).await
        }
        DriveCommand::Remove { id, target } => operate::remove_drive(&target, &id).await,
        DriveCommand::Moves(target) => operate::list_moves(&target, format).await,
    }
}

async fn tier(command: TierCommand, format: OutputFormat) -> Result<ExitCode> {
    match command {
        TierCommand::List(target) => operate::list_tiers(&target, format).await?,
        TierCommand::Restore(args) => return operate::restore(&args, format).await,
        TierCommand::Prefetch(args) => return operate::prefetch(&args, format).await,
        TierCommand::Pin(args) => return operate::pin(&args, format).await,
        TierCommand::Unpin(args) => operate::unpin(&args, format).await?,
        TierCommand::Pins(target) => operate::pins(&target, format).await?,
        TierCommand::Jobs(target) => operate::tier_jobs(&target, format).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn node(command: NodeCommand, format: OutputFormat) -> Result<()> {
    match command {
        NodeCommand::List(target) => operate::list_nodes(&target, format).await,
        NodeCommand::Drain { name, args, cancel: true } => {
            operate::cancel_drain(&args.target, &Leaving::Node(name), format).await
        }
        NodeCommand::Drain { name, args, cancel: false } => {
            operate::drain(&args, &Leaving::Node(name), format).await
        }
        NodeCommand::Remove { id, target } => operate::remove_node(&target, &id).await,
    }
}

fn task(args: &TaskArgs, kind: TaskKind, format: OutputFormat) -> Result<ExitCode> {
    runtime(1)?.block_on(operate::run_task(&args.target, kind, args.detach, format))
}

/// `workers` threads, or one a core for 0.
fn runtime(workers: usize) -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if workers > 0 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build().context("starting the runtime")
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
