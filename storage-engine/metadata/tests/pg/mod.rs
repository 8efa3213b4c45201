//! Stores over a throwaway Postgres.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

#[path = "../../../../tests/bench/src/postgres.rs"]
pub mod cluster;
pub mod load;
#[path = "../../../../tests/bench/src/ports.rs"]
mod ports;
pub mod proxy;
mod spread;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use cluster::{Flushing, PostgresCluster};
use granary_metadata::MetadataStore;
use granary_metadata::conformance::Harness;
use granary_metadata::postgres::{Durability, PostgresOptions, PostgresStore};

use spread::Spread;

/// The cluster that the tests of one binary share; each has a database of its own.
pub fn shared() -> &'static PostgresCluster {
    static SHARED: OnceLock<PostgresCluster> = OnceLock::new();
    SHARED.get_or_init(|| PostgresCluster::start(Flushing::Off).unwrap())
}

/// The URL of a new, empty database on the shared cluster.
pub fn fresh_database() -> String {
    fresh_named_database().0
}

/// The URL and the name of a new, empty database on the shared cluster.
pub fn fresh_named_database() -> (String, String) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let name = format!("granary_{}", NEXT.fetch_add(1, Ordering::SeqCst));
    shared().create_database(&name).unwrap();
    (shared().url(&name), name)
}

/// Options for a test server.
pub fn options(url: &str) -> PostgresOptions {
    let mut options = PostgresOptions::new(url).unwrap();
    options.durability = Durability::Relaxed;
    options.readers = 2;
    options
}

/// A store over that database.
pub async fn open(url: &str) -> Arc<PostgresStore> {
    Arc::new(PostgresStore::open(options(url)).await.unwrap())
}

/// One store or several over one database.
pub struct Nodes {
    url: String,
    count: usize,
    stores: Vec<Arc<PostgresStore>>,
}

impl Nodes {
    pub async fn fresh(count: usize) -> Self {
        let url = tokio::task::spawn_blocking(fresh_database).await.unwrap();
        let mut nodes = Self { url, count, stores: Vec::new() };
        nodes.open().await;
        nodes
    }

    async fn open(&mut self) {
        // At once: the first start of a cluster migrates from all nodes.
        let opening: Vec<_> = (0..self.count)
            .map(|_| {
                let url = self.url.clone();
                tokio::spawn(async move { open(&url).await })
            })
            .collect();
        for store in opening {
            self.stores.push(store.await.unwrap());
        }
    }
}

#[async_trait]
impl Harness for Nodes {
    fn store(&self) -> Arc<dyn MetadataStore> {
        match self.stores.as_slice() {
            [only] => Arc::clone(only) as Arc<dyn MetadataStore>,
            several => Arc::new(Spread::new(several.to_vec())),
        }
    }

    async fn restart(&mut self) {
        for store in std::mem::take(&mut self.stores) {
            store.close().await.unwrap();
        }
        self.open().await;
    }
}
