//! The servers that are measured: Granary, a peer, or whatever listens at an address.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::content::seeded_bytes;
use crate::fast::{Body, Connection, HeadSigner};

const START_DEADLINE: Duration = Duration::from_secs(60);
const BLOCK_BYTES: usize = 1 << 20;
const REGION: &str = "us-east-1";
/// Shaped as the pickiest peer wants its keys; they protect nothing but a benchmark.
const ACCESS_KEY: &str = "GK0123456789abcdef01234567";
const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// The bucket everything happens in.
pub const BUCKET: &str = "bench";

/// Where to send requests, and what is known of the process behind it.
#[derive(Clone)]
pub struct Target {
    /// How reports call it.
    pub name: String,
    /// `address:port` of each node; clients are spread over them.
    pub hosts: Arc<[String]>,
    /// The server's processes, if they were started here.
    pub pids: Vec<u32>,
    /// Over how many drives it spreads data.
    pub drives: usize,
    block: Arc<Vec<u8>>,
    credentials: (String, String),
}

impl Target {
    fn new(name: &str, host: String, pids: Vec<u32>, drives: usize) -> Self {
        let block = Arc::new(seeded_bytes(1, BLOCK_BYTES));
        let credentials = (ACCESS_KEY.to_owned(), SECRET_KEY.to_owned());
        Self { name: name.to_owned(), hosts: Arc::new([host]), pids, drives, block, credentials }
    }

    /// Several nodes of one store as one target.
    pub(crate) fn of_nodes(nodes: &[Self]) -> Result<Self> {
        let mut whole = nodes.first().context("a cluster has nodes")?.clone();
        whole.hosts = nodes.iter().flat_map(|node| node.hosts.iter().cloned()).collect();
        whole.pids = nodes.iter().flat_map(|node| node.pids.iter().copied()).collect();
        whole.drives = nodes.iter().map(|node| node.drives).sum();
        Ok(whole)
    }

    /// The node that a client talks to.
    ///
    /// # Errors
    /// A target without any node.
    pub fn host_for(&self, client: u64) -> Result<&str> {
        let count = self.hosts.len().max(1) as u64;
        let index = usize::try_from(client % count)?;
        self.hosts.get(index).map(String::as_str).context("a target has a host")
    }

    /// A server that is already running; its keys come from `AWS_ACCESS_KEY_ID` and
    /// `AWS_SECRET_ACCESS_KEY`.
    pub fn running(url: &str) -> Result<Self> {
        let host = url.strip_prefix("http://").context("--target takes an http:// URL")?;
        let mut target = Self::new("target", host.trim_end_matches('/').to_owned(), Vec::new(), 1);
        let variable = |name| std::env::var(name).with_context(|| format!("{name} is not set"));
        target.credentials = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
        Ok(target)
    }

    /// A signer of this target's keys, for requests to one of its hosts.
    pub fn signer(&self, host: &str) -> Result<HeadSigner> {
        HeadSigner::new(host, &self.credentials.0, &self.credentials.1, REGION)
    }

    /// The access key and the secret key.
    pub(crate) fn credentials(&self) -> (&str, &str) {
        (&self.credentials.0, &self.credentials.1)
    }

    /// A body of that many seeded bytes.
    pub fn block_body(&self, length_bytes: u64) -> Body<'_> {
        let short = usize::try_from(length_bytes).ok().and_then(|length| self.block.get(..length));
        match short {
            Some(bytes) => Body::Bytes(bytes),
            None => Body::Repeated { block: &self.block, length_bytes },
        }
    }

    /// The sum of a counter, or of one series of it (`name{label="value"}`), on the metrics pages of all nodes; `None` if there
    /// is no such page or counter.
    pub async fn counter(&self, name: &str) -> Option<f64> {
        let mut sum = None;
        for host in self.hosts.iter() {
            sum = Some(sum.unwrap_or_default() + counter_of(host, name).await?);
        }
        sum
    }

    /// Makes the bucket; one that is already there will do.
    pub async fn create_bucket(&self) -> Result<()> {
        let path = format!("/{BUCKET}");
        let host = self.host_for(0)?;
        let head = self.signer(host)?.head("PUT", &path, "", 0, "")?;
        let answer = Connection::open(host).await?.exchange(&head, Body::Bytes(&[])).await?;
        ensure!(matches!(answer.status, 200 | 409), "creating the bucket answered {}", answer.status);
        Ok(())
    }
}

async fn counter_of(host: &str, name: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(host).await.ok()?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await.ok()?;
    let values = page.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        (series == name || series.split('{').next() == Some(name))
            .then(|| value.trim().parse::<f64>().ok())
            .flatten()
    });
    values.reduce(|sum, value| sum + value)
}

/// A server started for the benchmark; killed when dropped.
pub struct Started {
    /// How to reach it.
    pub target: Target,
    child: Child,
    log_path: PathBuf,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts Granary on `drives` directories below `dir`.
pub async fn start_granary(dir: &Path, drives: usize) -> Result<Started> {
    let host = free_host("127.0.0.1")?;
    let command = granary(dir, drives, &host)?;
    start("granary", command, dir, host, drives).await
}

/// `granary serve` on `drives` new directories below `dir`.
pub(crate) fn granary(dir: &Path, drives: usize, host: &str) -> Result<Command> {
    granary_on((1..=drives).map(|number| ("", dir.join(format!("d{number}")))), host)
}

/// `granary serve` on new directories, each with what it is said to be made of (`ssd`, `hdd`, or nothing).
pub(crate) fn granary_on(
    drives: impl Iterator<Item = (&'static str, PathBuf)>,
    host: &str,
) -> Result<Command> {
    let mut command = Command::new(path_from("GRANARY_BENCH_BINARY")?);
    command.args(["serve", "--listen", host]);
    for (class, drive) in drives {
        std::fs::create_dir_all(&drive).context("drive directory")?;
        let separator = if class.is_empty() { "" } else { ":" };
        command.arg("--data").arg(format!("{class}{separator}{}", drive.display()));
    }
    command.env("GRANARY_ROOT_ACCESS_KEY", ACCESS_KEY).env("GRANARY_ROOT_SECRET_KEY", SECRET_KEY);
    Ok(command)
}

/// What a command of `granary` about a running server prints.
///
/// # Errors
/// With what it complained of, if it failed.
pub(crate) fn granary_says(target: &Target, args: &[&str]) -> Result<String> {
    let (access_key, secret_key) = target.credentials();
    let mut command = Command::new(path_from("GRANARY_BENCH_BINARY")?);
    command.args(args).env("GRANARY_ENDPOINT", format!("http://{}", target.host_for(0)?));
    command.env("GRANARY_ROOT_ACCESS_KEY", access_key).env("GRANARY_ROOT_SECRET_KEY", secret_key);
    let output = command.stdin(Stdio::null()).output().context("granary")?;
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "granary {args:?}: {}\n{said}{complaint}", output.status);
    Ok(said.into_owned())
}

/// Starts Garage as one node, as it comes: it does not flush and keeps one copy.
pub async fn start_garage(dir: &Path) -> Result<Started> {
    let binary = path_from("GRANARY_BENCH_GARAGE")?;
    let [host, rpc, admin] = [(); 3].map(|()| free_host("127.0.0.1"));
    let (host, rpc, admin) = (host?, rpc?, admin?);
    let config = format!(
        "metadata_dir = {:?}\ndata_dir = {:?}\ndb_engine = \"lmdb\"\nreplication_factor = 1\n\
         rpc_bind_addr = {rpc:?}\nrpc_public_addr = {rpc:?}\n\
         rpc_secret = \"{SECRET_KEY}\"\n[s3_api]\ns3_region = {REGION:?}\napi_bind_addr = {host:?}\n\
         root_domain = \".s3.localhost\"\n[admin]\napi_bind_addr = {admin:?}\n",
        dir.join("meta"),
        dir.join("data"),
    );
    let config_path = dir.join("garage.toml");
    std::fs::create_dir_all(dir)?;
    std::fs::write(&config_path, config)?;
    let mut command = Command::new(binary);
    command.arg("-c").arg(config_path).args(["server", "--single-node", "--default-bucket"]);
    command.env("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY).env("GARAGE_DEFAULT_SECRET_KEY", SECRET_KEY);
    command.env("GARAGE_DEFAULT_BUCKET", BUCKET).env("RUST_LOG", "garage=warn");
    start("garage", command, dir, host, 1).await
}

/// Starts a server and waits until it serves the bucket.
pub(crate) async fn start(
    name: &str,
    command: Command,
    dir: &Path,
    host: String,
    drives: usize,
) -> Result<Started> {
    let mut started = spawn(name, command, dir, host, drives)?;
    started.wait().await?;
    Ok(started)
}

/// Starts a server and waits for nothing. It logs into `dir`.
pub(crate) fn spawn(
    name: &str,
    mut command: Command,
    dir: &Path,
    host: String,
    drives: usize,
) -> Result<Started> {
    let log_path = dir.join("server.log");
    let log = File::create(&log_path).context("server log")?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = command.spawn().with_context(|| format!("starting {name}"))?;
    let target = Target::new(name, host, vec![child.id()], drives);
    Ok(Started { target, child, log_path })
}

impl Started {
    /// Waits until it serves the bucket.
    pub(crate) async fn wait(&mut self) -> Result<()> {
        let name = self.target.name.clone();
        let deadline = Instant::now() + START_DEADLINE;
        while Instant::now() < deadline {
            self.check_running()?;
            if self.target.create_bucket().await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("{name} did not come up in {START_DEADLINE:?}\n{}", self.log())
    }

    /// Where it lives: its log, and what it stores.
    pub(crate) fn dir(&self) -> PathBuf {
        self.log_path.parent().map(Path::to_owned).unwrap_or_default()
    }

    /// Fails if it has ended.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} exited with {status}\n{}", self.target.name, self.log());
        }
        Ok(())
    }

    /// Ends it with SIGTERM, and waits.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().context("SIGTERM")?;
        ensure!(told.success(), "the server could not be told to end");
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}\n{}", self.log());
        Ok(())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log_path).unwrap_or_default()
    }
}

fn path_from(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable)
        .with_context(|| format!("{variable} is not set; use cargo xtask bench"))?;
    Ok(PathBuf::from(path))
}

/// A port of `address` that nothing listens on.
pub(crate) fn free_host(address: &str) -> Result<String> {
    let listener = std::net::TcpListener::bind((address, 0)).context("finding a free port")?;
    Ok(listener.local_addr()?.to_string())
}
