//! The real binary as a child process.

use std::fmt::Write as _;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::Client;
use granary_bench::ports::Port;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::{ACCESS_KEY, SECRET_KEY, s3_client};
use crate::network;
use crate::raw;
use crate::tls::Certificate;

const START_DEADLINE: Duration = Duration::from_mins(2);
const STOP_DEADLINE: Duration = Duration::from_mins(2);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const LOG_LINES_SHOWN: usize = 80;
const SPACE_PORT: u16 = 9000;
const SPACE_NODE_PORT: u16 = 9100;

/// What a test server is started with.
#[derive(Clone, Debug, Default)]
pub struct ServerConfig {
    /// Drive directories made under the test's own directory, unless `drive_paths` names others.
    pub drives: usize,
    /// Drive directories elsewhere, for tests that mount file systems.
    pub drive_paths: Vec<PathBuf>,
    /// So many of the drives, the last ones, are said to be disks, and the others SSDs; with none, nothing is said.
    pub hdds: usize,
    /// `k+m`, or the default for that many drives.
    pub erasure: Option<String>,
    /// Serve TLS with a certificate of the test's own.
    pub tls: bool,
    /// The address to listen on, if not 127.0.0.1.
    pub address: Option<Ipv4Addr>,
    /// The network namespace to run in, which has that address.
    pub space: Option<String>,
    /// Another build of the server than [`binary`].
    pub binary: Option<PathBuf>,
    /// Make it a node: it listens for others too.
    pub node: bool,
    /// More environment variables.
    pub env: Vec<(String, String)>,
    /// More arguments to `serve`.
    pub args: Vec<String>,
}

impl ServerConfig {
    /// `drives` drive directories with the default erasure code.
    pub fn drives(drives: usize) -> Self {
        Self { drives, ..Self::default() }
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Where a server listens.
#[derive(Debug)]
enum Ports {
    /// In a namespace of its own.
    OfSpace,
    /// Among others.
    Taken { clients: Port, nodes: Port },
}

impl Ports {
    fn clients(&self) -> u16 {
        match self {
            Self::OfSpace => SPACE_PORT,
            Self::Taken { clients, .. } => clients.number(),
        }
    }

    fn nodes(&self) -> u16 {
        match self {
            Self::OfSpace => SPACE_NODE_PORT,
            Self::Taken { nodes, .. } => nodes.number(),
        }
    }
}

/// A server with its directory; stopped by SIGKILL when dropped.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    dir: TempDir,
    drive_paths: Vec<PathBuf>,
    ports: Ports,
    certificate: Option<Certificate>,
    child: Option<Child>,
}

impl Server {
    /// Makes the directories, starts the binary, and waits until it is ready.
    pub async fn start(config: ServerConfig) -> Result<Self> {
        let mut server = Self::prepare(config)?;
        server.launch().await?;
        Ok(server)
    }

    /// Makes the directories and chooses the port, without starting anything.
    pub fn prepare(config: ServerConfig) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("granary-test-").tempdir().context("test directory")?;
        let drive_paths = if config.drive_paths.is_empty() {
            (1..=config.drives).map(|number| dir.path().join(format!("d{number}"))).collect()
        } else {
            config.drive_paths.clone()
        };
        for path in &drive_paths {
            std::fs::create_dir_all(path).context("drive directory")?;
        }
        let certificate = if config.tls { Some(Certificate::create_in(dir.path())?) } else { None };
        let address = config.address.unwrap_or(Ipv4Addr::LOCALHOST);
        // In a namespace of its own every port is free, and from here it cannot be asked.
        let ports = match config.space {
            Some(_) => Ports::OfSpace,
            None => Ports::Taken { clients: Port::take(address)?, nodes: Port::take(address)? },
        };
        Ok(Self { config, dir, drive_paths, ports, certificate, child: None })
    }

    /// Starts the binary and waits until it is ready.
    pub async fn launch(&mut self) -> Result<()> {
        self.spawn()?;
        self.wait_ready().await
    }

    /// Starts the binary without waiting.
    pub fn spawn(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the server is already running");
        let log = File::options().create(true).append(true).open(self.log_path()).context("server log")?;
        let binary = self.config.binary.clone().map_or_else(binary, Ok)?;
        let mut command = match &self.config.space {
            Some(space) => network::command_in(space, &binary),
            None => Command::new(binary),
        };
        command.arg("serve").args(["--listen", &self.host()]);
        let ssds = self.drive_paths.len().saturating_sub(self.config.hdds);
        for (number, path) in self.drive_paths.iter().enumerate() {
            let class = match self.config.hdds {
                0 => "",
                _ if number < ssds => "ssd:",
                _ => "hdd:",
            };
            command.arg("--data").arg(format!("{class}{}", path.display()));
        }
        if let Some(erasure) = &self.config.erasure {
            command.args(["--erasure", erasure]);
        }
        if let Some(certificate) = &self.certificate {
            command.arg("--tls-cert").arg(&certificate.certificate_path);
            command.arg("--tls-key").arg(&certificate.key_path);
        }
        if self.config.node {
            command.args(["--node-listen", &self.node_host()]);
        }
        command.args(&self.config.args);
        command.env("GRANARY_ROOT_ACCESS_KEY", ACCESS_KEY).env("GRANARY_ROOT_SECRET_KEY", SECRET_KEY);
        command.envs(self.config.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().context("starting the server")?);
        Ok(())
    }

    /// Waits for `/health/ready`; fails with the log if the server exits first.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        while Instant::now() < deadline {
            if let Some(status) = self.try_wait()? {
                bail!("the server exited ({status}) before it was ready\n{}", self.log_tail());
            }
            let probe = raw::get(&self.host(), self.trusted_pem(), "/health/ready").await;
            if probe.is_ok_and(|response| response.status == 200) {
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        bail!("the server was not ready in {START_DEADLINE:?}\n{}", self.log_tail());
    }

    /// SIGKILL: what a crash of the process is.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("SIGKILL")?;
            child.wait().context("waiting for the killed server")?;
        }
        Ok(())
    }

    /// SIGTERM, then waits for the drain to end; the server must exit with success.
    pub async fn stop(&mut self) -> Result<()> {
        let pid = self.pid()?;
        kill_process(pid, Signal::TERM).context("SIGTERM")?;
        let status = self.wait_exit(STOP_DEADLINE).await?;
        ensure!(status.success(), "the server ended with {status} on SIGTERM\n{}", self.log_tail());
        Ok(())
    }

    /// Waits until the server has ended by itself, as at a crash point.
    pub async fn wait_exit(&mut self, within: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Some(status) = self.try_wait()? {
                self.child = None;
                return Ok(status);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        bail!("the server did not end in {within:?}\n{}", self.log_tail());
    }

    /// SIGKILL and start again on the same directories and port.
    pub async fn kill_and_restart(&mut self) -> Result<()> {
        self.kill()?;
        self.launch().await
    }

    /// SIGTERM and start again on the same directories and port.
    pub async fn stop_and_restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.launch().await
    }

    /// Replaces the environment variables of the next start.
    pub fn set_env(&mut self, env: Vec<(String, String)>) {
        self.config.env = env;
    }

    /// The settings of the next start.
    pub fn config_mut(&mut self) -> &mut ServerConfig {
        &mut self.config
    }

    /// Whether the process has ended, and how.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        let child = self.child.as_mut().context("the server is not running")?;
        child.try_wait().context("waiting for the server")
    }

    /// `address:port`.
    pub fn host(&self) -> String {
        format!("{}:{}", self.address(), self.ports.clients())
    }

    /// Where it listens for other nodes, if it is one.
    pub fn node_host(&self) -> String {
        format!("{}:{}", self.address(), self.ports.nodes())
    }

    fn address(&self) -> Ipv4Addr {
        self.config.address.unwrap_or(Ipv4Addr::LOCALHOST)
    }

    /// Whether the process was started and not yet stopped from here.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// SIGSTOP: the process is there and does nothing.
    pub fn freeze(&self) -> Result<()> {
        kill_process(self.pid()?, Signal::STOP).context("SIGSTOP")
    }

    /// SIGCONT: it goes on where it was.
    pub fn thaw(&self) -> Result<()> {
        kill_process(self.pid()?, Signal::CONT).context("SIGCONT")
    }

    /// `http://…` or `https://…`.
    pub fn endpoint(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.host())
    }

    /// A fresh SDK client.
    pub fn client(&self) -> Result<Client> {
        s3_client(&self.endpoint(), self.trusted_pem())
    }

    /// The certificate to trust, with TLS.
    pub fn trusted_pem(&self) -> Option<&str> {
        self.certificate.as_ref().map(|certificate| certificate.certificate_pem.as_str())
    }

    /// The drive directories, in the order given to the server.
    pub fn drive_paths(&self) -> &[PathBuf] {
        &self.drive_paths
    }

    /// The test's own directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the server's output goes, over all its lives.
    pub fn log_path(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    /// The last lines of the server's output.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let first = lines.len().saturating_sub(LOG_LINES_SHOWN);
        let mut tail = String::from("--- the server's last lines ---\n");
        for line in lines.iter().skip(first) {
            let _ = writeln!(tail, "{line}");
        }
        tail
    }

    /// The highest resident memory the process has had, in bytes.
    pub fn peak_memory_bytes(&self) -> Result<u64> {
        let pid = self.pid()?.as_raw_nonzero();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("process status")?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("VmHWM")?;
        let kib: u64 = line.split_whitespace().nth(1).context("VmHWM value")?.parse()?;
        Ok(kib * 1024)
    }

    /// The sum of a metric over its labels; 0 if it has not been set yet.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let page = raw::get(&self.host(), self.trusted_pem(), "/metrics").await?;
        ensure!(page.status == 200, "/metrics answered {}", page.status);
        let page = String::from_utf8_lossy(&page.body).into_owned();
        let samples = page.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let series_name = series.split('{').next()?;
            (series_name == name || series == name).then(|| value.parse::<f64>().ok()).flatten()
        });
        Ok(samples.sum())
    }

    /// Runs another subcommand of the binary against this server; returns its standard output, and
    /// fails if it does.
    pub async fn admin(&self, args: &[&str]) -> Result<String> {
        let output = self.admin_output(args).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "granary {args:?}: {}\n{text}\n{complaint}", output.status);
        Ok(text)
    }

    /// As [`Server::admin`], whatever the exit code.
    pub async fn admin_output(&self, args: &[&str]) -> Result<std::process::Output> {
        let mut command = Command::new(binary()?);
        command.args(args).env("GRANARY_ENDPOINT", self.endpoint());
        if let Some(certificate) = &self.certificate {
            command.env("GRANARY_CA_CERT", &certificate.certificate_path);
        }
        command.env("GRANARY_ROOT_ACCESS_KEY", ACCESS_KEY).env("GRANARY_ROOT_SECRET_KEY", SECRET_KEY);
        command.stdin(Stdio::null());
        let run = tokio::task::spawn_blocking(move || command.output());
        run.await.context("running a subcommand")?.context("running a subcommand")
    }

    /// The process, as the kernel numbers it.
    pub fn process_id(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("the server is not running")?.id())
    }

    pub(crate) fn pid(&self) -> Result<Pid> {
        let child = self.child.as_ref().context("the server is not running")?;
        Ok(Pid::from_child(child))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
        if std::thread::panicking() {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), self.log_tail().as_bytes());
        }
    }
}

/// The server's binary: `GRANARY_TEST_BINARY`, or the one cargo built beside this test.
pub fn binary() -> Result<PathBuf> {
    let path = match std::env::var_os("GRANARY_TEST_BINARY") {
        Some(path) => PathBuf::from(path),
        None => {
            let test = std::env::current_exe().context("the path of this test")?;
            let profile_dir = test.ancestors().nth(2).context("the target directory")?;
            profile_dir.join("granary")
        }
    };
    ensure!(
        path.exists(),
        "{} is missing; run `cargo build -p granary` or `cargo xtask test`",
        path.display()
    );
    Ok(path)
}
