//! A wire between a store and its database that is cut when a transaction is committed: by a COMMIT, or by the statement that is
//! a transaction of its own. Or one that is lost when a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// COMMIT as a simple query: its tag, its length with the zero at the end, and the text.
const COMMIT: &[u8] = b"Q\0\0\0\x0BCOMMIT\0";

/// What only the statement has that is a transaction of its own.
const WHOLE: &[u8] = b"WITH held AS";

/// How often a commit meets a cut.
const CUT_EVERY: u64 = 5;

/// How long a database does not notice that its client has gone.
const UNNOTICED: Duration = Duration::from_secs(30);

/// A listener that forwards to a database, and may cut every fifth commit: in turn after the database has it, so that it is
/// committed and nobody is told, and before, so that it is not.
pub struct Proxy {
    pub host: String,
    pub commits: Arc<AtomicU64>,
    /// Of these, how many were statements that are transactions of their own.
    pub wholes: Arc<AtomicU64>,
    lost: Arc<Notify>,
}

impl Proxy {
    /// One that cuts.
    pub async fn start(to: String) -> Self {
        Self::forwarding(to, CUT_EVERY).await
    }

    /// One that does not, but see [`Self::lose_clients`].
    pub async fn whole(to: String) -> Self {
        Self::forwarding(to, u64::MAX).await
    }

    /// Hangs up on all clients, and the database does not notice.
    pub fn lose_clients(&self) {
        self.lost.notify_waiters();
    }

    async fn forwarding(to: String, cut_every: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (commits, wholes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let lost = Arc::new(Notify::new());
        let (counters, losing) = ((Arc::clone(&commits), Arc::clone(&wholes)), Arc::clone(&lost));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&to).await else { continue };
                let asked = Asked { whole: None, wholes: Arc::clone(&counters.1), cut_every };
                tokio::spawn(forward((client, server), asked, Arc::clone(&counters.0), Arc::clone(&losing)));
            }
        });
        Self { host, commits, wholes, lost }
    }
}

/// What a client asks on one connection.
struct Asked {
    /// The name that the statement got that is a transaction of its own.
    whole: Option<Vec<u8>>,
    wholes: Arc<AtomicU64>,
    cut_every: u64,
}

impl Asked {
    /// Whether the message commits. A Bind names the portal, which has none, and then the statement; a Parse the statement and its text.
    fn commits(&mut self, message: &[u8]) -> bool {
        let [kind, _, _, _, _, rest @ ..] = message else { return false };
        let first = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        match kind {
            b'P' if message.windows(WHOLE.len()).any(|text| text == WHOLE) => {
                self.whole = Some(first.to_vec());
                false
            }
            b'B' => {
                let is_whole = rest.split(|byte| *byte == 0).nth(1) == self.whole.as_deref();
                self.wholes.fetch_add(u64::from(is_whole), Ordering::SeqCst);
                is_whole
            }
            _ => message == COMMIT,
        }
    }
}

/// Returns, and so closes both ends, when either ends or the wire is cut.
async fn forward(
    (mut client, mut server): (TcpStream, TcpStream),
    mut statements: Asked,
    commits: Arc<AtomicU64>,
    lost: Arc<Notify>,
) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            () = lost.notified() => {
                drop(client);
                tokio::time::sleep(UNNOTICED).await;
                return;
            }
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let message = &asked[..length];
                let cut_every = statements.cut_every;
                let cut = statements.commits(message) && (commits.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(cut_every);
                let turn = commits.load(Ordering::SeqCst) / cut_every;
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
