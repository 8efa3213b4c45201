//! The seeds of the fuzz targets: see `granary-seeds`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test helper that panics fails its test.

#[path = "../fuzz/bodies/block.rs"]
mod block;
#[path = "../fuzz/bodies/records.rs"]
mod records;

#[test]
fn the_seeds_of_fuzz_targets_find_nothing() {
    granary_seeds::replay(env!("CARGO_MANIFEST_DIR"), &[("block", block::run), ("records", records::run)]);
}
