//! What the next releases do to the schema in a rehearsal of a rolling upgrade (`granary_types::rehearsed_release`): the kind
//! of change that holds the longest locks on the busiest table.

use granary_types::{Release, rehearsed_release};

use super::setup::MIGRATIONS;

const EXPAND: &str = "ALTER TABLE objects ADD COLUMN IF NOT EXISTS rehearsed BIGINT NOT NULL DEFAULT 7";
const CONTRACT: &str = "ALTER TABLE objects DROP COLUMN IF EXISTS rehearsed";

/// The migrations of the release that this process is, each with the oldest binary that it serves.
pub(in crate::postgres) fn migrations() -> Vec<(&'static str, u32)> {
    let mut migrations = MIGRATIONS.to_vec();
    let this = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    let oldest = migrations.last().map_or(1, |(_, oldest)| *oldest);
    let release = rehearsed_release();
    if release >= Release::Next {
        migrations.push((EXPAND, oldest));
    }
    if release >= Release::AfterNext {
        migrations.push((CONTRACT, this.saturating_add(1)));
    }
    migrations
}
