//! A throwaway Postgres: a real cluster in a temporary directory, gone when its handle is dropped or the test process
//! dies, however it dies. The metadata crate's tests include this file too, and its neighbour with the ports, and nothing else.
//!
//! Postgres refuses to run as root, so as root its programs run as the system user `postgres`.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::ports::Port;

/// The database user of the tests.
const USER: &str = "postgres";
/// Its password; the cluster listens on this machine only.
const PASSWORD: &str = "granary-test";
/// Where Debian and its kin put the server programs of each version.
const VERSIONS_DIR: &str = "/usr/lib/postgresql";
/// Where `cargo xtask` says they are.
const BIN_VARIABLE: &str = "GRANARY_TEST_POSTGRES_BIN";

/// How long something is waited for that has to happen by itself, on however loaded a machine.
const PATIENCE: Duration = Duration::from_mins(3);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether the cluster outlives a power cut. Nothing else depends on it, and it costs time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushing {
    /// As in production.
    On,
    /// `fsync = off`.
    Off,
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Open transactions are rolled back, and what is committed is written.
    Fast,
    /// As if the power was cut, but for the operating system's cache.
    Immediate,
}

impl Stop {
    fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Immediate => "immediate",
        }
    }
}

/// A running cluster.
#[derive(Debug)]
pub struct PostgresCluster {
    dir: PathBuf,
    port: Port,
    bin: PathBuf,
    /// Stops the server and removes the directory when its standard input ends, as it does when this process ends.
    _guard: Child,
}

impl PostgresCluster {
    /// Makes a cluster on a free port and starts it.
    pub fn start(flushing: Flushing) -> Result<Self> {
        Self::start_with(flushing, &[])
    }

    /// As [`PostgresCluster::start`], with more settings (`name=value`).
    pub fn start_with(flushing: Flushing, settings: &[&str]) -> Result<Self> {
        let cluster = Self::make()?;
        cluster.configure(flushing, settings)?;
        cluster.launch()?;
        Ok(cluster)
    }

    /// As [`PostgresCluster::start`], for clients of the network `from` (`10.0.0.0/24`) at the address `at` of this machine
    /// too.
    pub fn start_reachable(flushing: Flushing, at: Ipv4Addr, from: &str) -> Result<Self> {
        let cluster = Self::make()?;
        let admitted = format!("\nhost all all {from} scram-sha-256\n");
        OpenOptions::new()
            .append(true)
            .open(cluster.data().join("pg_hba.conf"))?
            .write_all(admitted.as_bytes())?;
        cluster.configure(flushing, &[&format!("listen_addresses=127.0.0.1,{at}")])?;
        cluster.launch()?;
        Ok(cluster)
    }

    /// A cluster without settings that does not run.
    fn make() -> Result<Self> {
        let cluster = Self::prepare()?;
        let password = cluster.dir.join("password");
        std::fs::write(&password, PASSWORD)?;
        run(cluster.program("initdb").args(["--username", USER, "--auth=scram-sha-256", "--no-sync"]).args(
            [
                "--encoding=UTF8",
                "--locale=C",
                &format!("--pwfile={}", password.display()),
                &format!("--pgdata={}", cluster.data().display()),
            ],
        ))?;
        Ok(cluster)
    }

    /// A streaming standby of this cluster, running.
    pub fn standby(&self, flushing: Flushing, settings: &[&str]) -> Result<Self> {
        let standby = Self::prepare()?;
        run(standby
            .program("pg_basebackup")
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
            .args([
                &format!("--pgdata={}", standby.data().display()),
                &format!("--dbname={} application_name=standby", self.connection("postgres")),
            ]))?;
        standby.configure(flushing, settings)?;
        standby.launch()?;
        Ok(standby)
    }

    /// Makes a standby a primary.
    pub fn promote(&self) -> Result<()> {
        self.control(&["promote", "-w", "-t", "120"])
    }

    /// Waits until this standby has all that the primary has committed.
    pub fn catch_up(&self, primary: &Self) -> Result<()> {
        let wanted = primary.sql("postgres", "SELECT pg_current_wal_lsn()")?;
        self.wait_until(&format!("SELECT pg_last_wal_replay_lsn() >= '{wanted}'::pg_lsn"))
    }

    /// Lets this standby receive nothing more: what the primary commits from now on is lost when this takes its place.
    pub fn cut_off(&self) -> Result<()> {
        self.sql("postgres", "ALTER SYSTEM SET primary_conninfo = ''")?;
        self.sql("postgres", "SELECT pg_reload_conf()")?;
        // The settings are read and the receiver ends some time after.
        let is_told = "current_setting('primary_conninfo') = ''";
        self.wait_until(&format!("SELECT {is_told} AND NOT EXISTS (SELECT FROM pg_stat_wal_receiver)"))
    }

    /// Waits until nobody has a session with the database: the server hears of the end of a client later than that ends.
    pub fn wait_left(&self, database: &str) -> Result<()> {
        self.wait_until(&format!(
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = '{database}')"
        ))
    }

    fn wait_until(&self, holds: &str) -> Result<()> {
        let begun = Instant::now();
        while self.sql("postgres", holds)? != "t" {
            ensure!(begun.elapsed() < PATIENCE, "not in {PATIENCE:?}: {holds}\n{}", self.log());
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn prepare() -> Result<Self> {
        let bin = programs()?;
        let dir = tempfile::Builder::new().prefix("granary-postgres-").tempdir()?.keep();
        if is_root() {
            run(Command::new("chown").arg(USER).arg(&dir))?;
        }
        let port = Port::take(Ipv4Addr::LOCALHOST)?;
        let data = dir.join("data");
        let script = r#"cat >/dev/null; "$0" -D "$1" -m immediate -w stop >/dev/null 2>&1; rm -rf "$2""#;
        // In a process group of its own, so that what ends the tests does not end the guard too.
        let guard = as_postgres(OsStr::new("sh"))
            .process_group(0)
            .args(["-c", script])
            .args([bin.join("pg_ctl").as_os_str(), data.as_os_str(), dir.as_os_str()])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the guard of a Postgres cluster")?;
        Ok(Self { dir, port, bin, _guard: guard })
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// One of Postgres's programs, run as who may run it.
    fn program(&self, name: &str) -> Command {
        let mut command = as_postgres(self.bin.join(name).as_os_str());
        command.current_dir(&self.dir).env("PGPASSWORD", PASSWORD).stdin(Stdio::null());
        command
    }

    fn configure(&self, flushing: Flushing, settings: &[&str]) -> Result<()> {
        let flushing = if flushing == Flushing::On { "on" } else { "off" };
        let mut text = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\nfsync = {flushing}\n\
             max_connections = 300\nlog_min_messages = fatal\nlogging_collector = off\n",
            self.port.number(),
            self.dir.display(),
        );
        for setting in settings {
            let (name, value) = setting.split_once('=').context("a setting is name=value")?;
            text.push_str(&format!("{name} = '{value}'\n"));
        }
        let path = self.data().join("postgresql.auto.conf");
        let kept = run(as_postgres(OsStr::new("cat")).current_dir("/").arg(&path))?;
        let own = self.dir.join("settings.conf");
        std::fs::write(&own, format!("{kept}{text}"))?;
        run(as_postgres(OsStr::new("cp")).current_dir("/").arg(&own).arg(&path)).map(drop)
    }

    fn control(&self, args: &[&str]) -> Result<()> {
        let mut command = self.program("pg_ctl");
        command.arg("-D").arg(self.data()).arg("-l").arg(self.dir.join("postgres.log")).args(args);
        // The server keeps what pg_ctl hands it open, so its output must not be a pipe that someone reads to the end.
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().context("pg_ctl")?;
        ensure!(status.success(), "pg_ctl {args:?}: {status}\n{}", self.log());
        Ok(())
    }

    /// Starts the server again after [`PostgresCluster::stop`].
    pub fn launch(&self) -> Result<()> {
        self.control(&["-w", "-t", "120", "start"])
    }

    /// Stops the server; its data stay.
    pub fn stop(&self, how: Stop) -> Result<()> {
        self.control(&["-w", "-t", "120", "-m", how.as_str(), "stop"])
    }

    /// Stops the server and starts it again on the same port.
    pub fn restart(&self, how: Stop) -> Result<()> {
        self.control(&["-w", "-t", "120", "-m", how.as_str(), "restart"])
    }

    /// Runs SQL and returns the rows, their columns separated by `|`.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = self.program("psql");
        command.args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "-v", "ON_ERROR_STOP=1"]);
        command.args(["--dbname", &self.connection(database), "--command", sql]);
        Ok(run(&mut command)?.trim().to_owned())
    }

    /// Makes an empty database.
    pub fn create_database(&self, name: &str) -> Result<()> {
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\"")).map(drop)
    }

    fn connection(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} user={USER} dbname={database}", self.port.number())
    }

    /// The URL of a database on this cluster.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@{}/{database}?sslmode=disable", self.host())
    }

    /// The URL of a database, for clients of another network.
    pub fn url_at(&self, at: Ipv4Addr, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@{at}:{}/{database}?sslmode=disable", self.port.number())
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// The server's log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("postgres.log")).unwrap_or_default()
    }
}

/// One URL for a database that any of several clusters serves.
pub fn url_of(clusters: &[&PostgresCluster], database: &str) -> String {
    let hosts: Vec<_> = clusters.iter().map(|cluster| cluster.host()).collect();
    let parameters = "sslmode=disable&target_session_attrs=read-write";
    format!("postgres://{USER}:{PASSWORD}@{}/{database}?{parameters}", hosts.join(","))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn as_postgres(program: &OsStr) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", USER, "--"]).arg(program);
    command
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("running {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{text}\n{complaint}", output.status);
    Ok(text)
}

/// The directory with `initdb` and the others, of the newest version that is installed.
fn programs() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os(BIN_VARIABLE) {
        return Ok(PathBuf::from(dir));
    }
    let version = |dir: &Path| dir.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = std::fs::read_dir(VERSIONS_DIR).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| Some((version(&entry.path())?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .max();
    match newest {
        Some((_, bin)) => Ok(bin),
        None => bail!("Postgres is not installed (apt-get install postgresql); `cargo xtask test` does that"),
    }
}
