//! What is written before a move between tiers, and what must be true of it in the end.

use std::ops::RangeInclusive;

use anyhow::{Result, ensure};
use aws_sdk_s3::Client;
use aws_sdk_s3::types::TransitionStorageClass;

use crate::content::seeded_bytes;
use crate::tiers::{
    BUCKET, PART_BYTES, check, check_all, content_bytes, count_classes, put_all, put_parts, set_rule, wait,
    wait_collected, wait_lives, wait_moved,
};
use crate::{PATIENCE, Server};

/// A bucket without rules.
const KEPT: &str = "kept";
const SHARED_BYTES: u64 = 2 * PART_BYTES as u64;

/// What is moved from SSDs to disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// [`crate::tiers::contents`], each with bytes of its own.
    Own,
    /// The same, which lies on the disks already: only its class changes.
    Labels,
    /// Two objects of the same two blobs, which move together.
    Shared,
    /// Two objects of the same two blobs, of which one stays where it is.
    Parted,
}

impl Scene {
    /// Writes everything. No rule moves it yet.
    pub async fn write(self, server: &Server) -> Result<()> {
        let client = server.client()?;
        if !self.is_shared() {
            put_all(&client).await?;
            if self == Self::Labels {
                set_rule(&client, BUCKET, TransitionStorageClass::StandardIa).await?;
                wait_moved(&client, BUCKET, "STANDARD", "STANDARD_IA").await?;
            }
            return Ok(());
        }
        client.create_bucket().bucket(BUCKET).send().await?;
        put_parts(&client, BUCKET, "parts", shared().chunks(PART_BYTES).map(<[u8]>::to_vec)).await?;
        if self == Self::Parted {
            client.create_bucket().bucket(KEPT).send().await?;
        }
        let copy = client.copy_object().bucket(self.bucket_of_copy()).key("copy");
        copy.copy_source(format!("{BUCKET}/parts")).send().await?;
        // Both are there, and the bytes only once.
        wait_lives(server, SHARED_BYTES, 0..=0).await
    }

    /// Lets it move.
    pub async fn begin(self, client: &Client) -> Result<()> {
        set_rule(client, BUCKET, TransitionStorageClass::GlacierIr).await
    }

    /// Waits until some of it was moved, and fails unless some was not.
    pub async fn wait_midway(self, client: &Client) -> Result<()> {
        wait("something is moved", PATIENCE, async || {
            let [_, moved] = self.counts(client).await?;
            Ok(moved > 0)
        })
        .await?;
        self.ensure_midway(client).await
    }

    /// Fails unless some of it was moved and some was not.
    pub async fn ensure_midway(self, client: &Client) -> Result<()> {
        let counts = self.counts(client).await?;
        ensure!(counts.iter().all(|count| *count > 0), "{counts:?} are not moved and moved");
        Ok(())
    }

    /// Everything is there while it moves, and moved in the end, with all its shards and nothing else. So many of the parts that
    /// are shared may live twice on the disks.
    pub async fn ends_whole(self, server: &Server, twice: RangeInclusive<u64>) -> Result<()> {
        let client = server.client()?;
        self.check(&client).await?;
        let [from, to] = self.classes();
        wait_moved(&client, BUCKET, from, to).await?;
        self.check(&client).await?;
        let moved = if self.is_shared() { SHARED_BYTES } else { content_bytes() };
        let [fewest, most] = [twice.start(), twice.end()].map(|parts| moved + parts * PART_BYTES as u64);
        wait_lives(server, if self == Self::Parted { SHARED_BYTES } else { 0 }, fewest..=most).await?;
        wait_collected(server, 1).await?;
        self.check(&client).await
    }

    async fn check(self, client: &Client) -> Result<()> {
        if !self.is_shared() {
            return check_all(client).await;
        }
        check(client, BUCKET, "parts", &shared()).await?;
        check(client, self.bucket_of_copy(), "copy", &shared()).await
    }

    async fn counts(self, client: &Client) -> Result<[usize; 2]> {
        count_classes(client, BUCKET, self.classes()).await
    }

    fn classes(self) -> [&'static str; 2] {
        [if self == Self::Labels { "STANDARD_IA" } else { "STANDARD" }, "GLACIER_IR"]
    }

    fn is_shared(self) -> bool {
        matches!(self, Self::Shared | Self::Parted)
    }

    fn bucket_of_copy(self) -> &'static str {
        if self == Self::Parted { KEPT } else { BUCKET }
    }
}

/// What the two objects hold that share it.
fn shared() -> Vec<u8> {
    seeded_bytes(3_000, 2 * PART_BYTES)
}
