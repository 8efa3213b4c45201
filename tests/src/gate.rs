//! A way into a node that can be shut: connections are taken and kept, and nothing goes through, as behind a network that
//! drops packets. What waited goes through when the gate opens again. It can be shut for answers alone, as when packets are
//! lost in one direction, and it can be slow.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PIECE_BYTES: usize = 64 * 1024;

/// What goes through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Passage {
    /// Everything.
    #[default]
    Free,
    /// Everything, but each piece waits for so long.
    Slow(Duration),
    /// What others send; the answers wait.
    InOnly,
    /// Nothing.
    Shut,
}

impl Passage {
    /// How long a piece waits in that direction; `None` until the passage is another.
    fn wait(self, direction: Direction) -> Option<Duration> {
        match (self, direction) {
            (Self::Free, _) | (Self::InOnly, Direction::In) => Some(Duration::ZERO),
            (Self::Slow(wait), _) => Some(wait),
            (Self::InOnly, Direction::Out) | (Self::Shut, _) => None,
        }
    }
}

/// To the node, or from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// A gate before one address.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    passage: watch::Sender<Passage>,
    task: JoinHandle<()>,
}

impl Gate {
    /// An open gate before `target`.
    pub async fn before(target: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a gate")?;
        let address = listener.local_addr()?;
        let (passage, seen) = watch::channel(Passage::Free);
        let target = target.to_owned();
        let task = tokio::spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                tokio::spawn(pass(inner, target.clone(), seen.clone()));
            }
        });
        Ok(Self { address, passage, task })
    }

    /// Where to connect.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Lets nothing through any more.
    pub fn shut(&self) {
        self.passage.send_replace(Passage::Shut);
    }

    /// Lets requests through and no answers.
    pub fn shut_outward(&self) {
        self.passage.send_replace(Passage::InOnly);
    }

    /// Lets everything through, each piece so much later.
    pub fn slow(&self, each: Duration) {
        self.passage.send_replace(Passage::Slow(each));
    }

    /// Lets everything through again.
    pub fn open(&self) {
        self.passage.send_replace(Passage::Free);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits as long as the passage makes a piece wait. `false` if the gate is gone.
async fn waited(passage: &mut watch::Receiver<Passage>, direction: Direction) -> bool {
    let Ok(now) = passage.wait_for(|passage| passage.wait(direction).is_some()).await.map(|now| *now) else {
        return false;
    };
    tokio::time::sleep(now.wait(direction).unwrap_or_default()).await;
    true
}

async fn pass(inner: TcpStream, target: String, mut passage: watch::Receiver<Passage>) {
    if !waited(&mut passage, Direction::In).await {
        return;
    }
    let Ok(outer) = TcpStream::connect(target).await else { return };
    let _ = (inner.set_nodelay(true), outer.set_nodelay(true));
    let ((read, write), (back_read, back_write)) = (inner.into_split(), outer.into_split());
    let back = passage.clone();
    tokio::select! {
        () = copy(read, back_write, passage, Direction::In) => {}
        () = copy(back_read, write, back, Direction::Out) => {}
    }
}

async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut passage: watch::Receiver<Passage>,
    direction: Direction,
) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let Ok(length @ 1..) = from.read(&mut piece).await else { return };
        if !waited(&mut passage, direction).await {
            return;
        }
        let Some(bytes) = piece.get(..length) else { return };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
