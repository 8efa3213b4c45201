//! A node with drives in a temporary directory, and a proxy that gets in the way.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use granary_cluster::access::{DriveAccess, LocalDrive};
use granary_cluster::rpc::{
    ClusterSecret, LocalDrives, Peer, PeerOptions, RemoteDrive, RpcServerOptions, Timing, serve,
};
use granary_drive::{Drive, Identity, Member, write_identity};
use granary_types::{ClusterId, DriveId, NodeId};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) const CLUSTER: ClusterId = ClusterId::from_bytes([1; 16]);
pub(crate) const SERVER_NODE: NodeId = NodeId::from_bytes([0xa; 16]);
pub(crate) const CLIENT_NODE: NodeId = NodeId::from_bytes([0xb; 16]);

pub(crate) fn secret() -> ClusterSecret {
    ClusterSecret::new(&[7; 32]).unwrap()
}

/// Opens a directory as a drive, for the first time or again.
pub(crate) fn open_drive(directory: &Path, number: u8) -> Arc<Drive> {
    let member = Member { drive: DriveId::from_bytes([number; 16]), slot: 0 };
    let identity = Identity::new(CLUSTER, &member, std::slice::from_ref(&member), "4+2");
    if !directory.join(granary_drive::IDENTITY_FILE).exists() {
        write_identity(directory, &identity).unwrap();
    }
    Drive::open(directory, identity, PATIENCE).unwrap()
}

/// A node that serves drives.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) drive: Arc<Drive>,
    pub(crate) directory: Arc<TempDir>,
    running: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

pub(crate) fn server_options() -> RpcServerOptions {
    let mut options = RpcServerOptions::new(secret(), CLUSTER, SERVER_NODE);
    options.progress_deadline = PATIENCE / 2;
    options
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::start_with(server_options()).await
    }

    pub(crate) async fn start_with(options: RpcServerOptions) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let drive = open_drive(directory.path(), 1);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener, options, drive, directory)
    }

    fn serve(
        listener: TcpListener,
        options: RpcServerOptions,
        drive: Arc<Drive>,
        directory: Arc<TempDir>,
    ) -> Self {
        let served = LocalDrive(Arc::clone(&drive));
        let drives: Arc<dyn LocalDrives> = Arc::new(move || vec![served.clone()]);
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(async move { serve(listener, options, drives, stopped).await.unwrap() });
        Self { address, drive, directory, running, stop }
    }

    /// Dies at once, in the middle of whatever it does.
    pub(crate) async fn kill(&mut self) {
        self.running.abort();
        if self.running.is_finished() {
            return;
        }
        let _ = (&mut self.running).await;
    }

    /// Ends in an orderly way.
    pub(crate) async fn stop(self) {
        self.stop.send(true).unwrap();
        self.running.await.unwrap();
    }

    /// Another life of the process, on the same address and drive.
    pub(crate) async fn restart(&mut self) {
        self.kill().await;
        let listener = bind_again(self.address).await;
        let (drive, directory) = (Arc::clone(&self.drive), Arc::clone(&self.directory));
        *self = Self::serve(listener, server_options(), drive, directory);
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer::new(peer_options(self.address)).unwrap()
    }
}

async fn bind_again(address: SocketAddr) -> TcpListener {
    let begun = Instant::now();
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How long something is waited for that has to happen by itself, on however loaded a machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// So patient that a loaded machine is not taken for a node that says nothing.
pub(crate) fn peer_options(address: SocketAddr) -> PeerOptions {
    let mut options = PeerOptions::new(address.to_string(), secret(), CLUSTER, CLIENT_NODE);
    options.timing = Timing {
        heartbeat_interval: Duration::from_millis(100),
        suspect_after: Duration::from_secs(30),
        dead_after: Duration::from_mins(1),
        connect_deadline: Duration::from_secs(30),
        progress_deadline: Duration::from_secs(30),
        reconnect_pause_max: Duration::from_millis(400),
    };
    options
}

/// With the patience that a test of silence can wait for.
pub(crate) fn impatient_options(address: SocketAddr) -> PeerOptions {
    let mut options = peer_options(address);
    options.timing.suspect_after = Duration::from_secs(3);
    options.timing.dead_after = Duration::from_secs(6);
    options.timing.connect_deadline = Duration::from_secs(2);
    options.timing.progress_deadline = Duration::from_secs(2);
    options
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The one drive of a peer, when it was heard of.
pub(crate) async fn only_drive(peer: &Peer) -> Arc<RemoteDrive> {
    until("a drive is known", || peer.drives().iter().any(|drive| drive.is_usable())).await;
    peer.drives().into_iter().next().unwrap()
}

/// What a [`Proxy`] does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Hands them on.
    Fair,
    /// Hands each piece on after a delay.
    Slow(Duration),
    /// Takes them and hands nothing on.
    BlackHole,
    /// Hangs up on everybody, old and new.
    Cut,
    /// Hangs up on each connection after so many bytes from the client.
    CutAfter(u64),
}

/// A TCP proxy that gets in the way.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    weather: watch::Sender<Weather>,
    running: JoinHandle<()>,
    pub(crate) accepted: Arc<AtomicU64>,
}

impl Proxy {
    pub(crate) async fn start(target: SocketAddr, weather: Weather) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, forecast) = watch::channel(weather);
        let accepted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&accepted);
        let running = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                if *forecast.borrow() != Weather::Cut {
                    connections.spawn(relay(client, target, forecast.clone()));
                }
            }
        });
        Self { address, weather, running, accepted }
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn relay(mut client: TcpStream, target: SocketAddr, mut weather: watch::Receiver<Weather>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut sent = 0;
    loop {
        let (count, is_up) = tokio::select! {
            count = client.read(&mut up) => (count, true),
            count = server.read(&mut down) => (count, false),
            _ = weather.wait_for(|weather| *weather == Weather::Cut) => return,
        };
        let Ok(count @ 1..) = count else { return };
        let now = *weather.borrow();
        match now {
            Weather::Fair => {}
            Weather::Slow(delay) => tokio::time::sleep(delay).await,
            Weather::BlackHole => continue,
            Weather::Cut => return,
            Weather::CutAfter(limit) => {
                sent += if is_up { count as u64 } else { 0 };
                if sent > limit {
                    return;
                }
            }
        }
        let handed = match is_up {
            true => server.write_all(&up[..count]).await,
            false => client.write_all(&down[..count]).await,
        };
        if handed.is_err() {
            return;
        }
    }
}
