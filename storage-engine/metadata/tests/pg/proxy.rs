//! A wire between a store and its database that is cut when a COMMIT passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// COMMIT as a simple query: its tag, its length with the zero at the end, and the text.
const COMMIT: &[u8] = b"Q\0\0\0\x0BCOMMIT\0";

/// How often a COMMIT meets a cut.
const CUT_EVERY: u64 = 5;

/// A listener that forwards to a database, and cuts every fifth COMMIT: in turn after the database has it, so that it is
/// committed and nobody is told, and before, so that it is not.
pub struct Proxy {
    pub host: String,
    pub commits: Arc<AtomicU64>,
}

impl Proxy {
    pub async fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let commits = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&commits);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&to).await else { continue };
                tokio::spawn(forward(client, server, Arc::clone(&counter)));
            }
        });
        Self { host, commits }
    }
}

/// Returns, and so closes both ends, when either ends or the wire is cut.
async fn forward(mut client: TcpStream, mut server: TcpStream, commits: Arc<AtomicU64>) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let message = &asked[..length];
                let cut = message == COMMIT && (commits.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(CUT_EVERY);
                let turn = commits.load(Ordering::SeqCst) / CUT_EVERY;
                if cut && turn.is_multiple_of(2) {
                    return;
                }
                if server.write_all(message).await.is_err() {
                    return;
                }
                if cut {
                    // Waits for the answer, which it keeps: the transaction is committed now.
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
