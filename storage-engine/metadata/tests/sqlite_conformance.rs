//! The embedded store against the suite.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

use std::sync::Arc;

use async_trait::async_trait;
use granary_metadata::MetadataStore;
use granary_metadata::conformance::Harness;
use granary_metadata::sqlite::{EmbeddedOptions, Existing, Home, SqliteStore};
use granary_types::DriveId;

struct Embedded {
    dir: tempfile::TempDir,
    store: Option<Arc<SqliteStore>>,
}

impl Embedded {
    async fn fresh() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(open(&dir, Existing::MayBeNew));
        Self { dir, store }
    }
}

fn open(dir: &tempfile::TempDir, existing: Existing) -> Arc<SqliteStore> {
    let homes = (0..3_u8)
        .map(|n| Home { drive: DriveId::from_bytes([n; 16]), dir: dir.path().join(format!("d{n}/meta")) })
        .collect();
    Arc::new(SqliteStore::open(EmbeddedOptions::new(homes, 2, existing)).unwrap())
}

#[async_trait]
impl Harness for Embedded {
    fn store(&self) -> Arc<dyn MetadataStore> {
        Arc::clone(self.store.as_ref().unwrap()) as Arc<dyn MetadataStore>
    }

    async fn restart(&mut self) {
        self.store.take().unwrap().close().await.unwrap();
        self.store = Some(open(&self.dir, Existing::Expected));
    }
}

granary_metadata::conformance_tests!(Embedded::fresh());
