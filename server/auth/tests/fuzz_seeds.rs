//! The seeds of the fuzz targets: see `granary-seeds`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // A test helper that panics fails its test.

#[path = "../fuzz/bodies/chunked.rs"]
mod chunked;
#[path = "../fuzz/bodies/evaluate.rs"]
mod evaluate;
#[path = "../fuzz/bodies/policy.rs"]
mod policy;
#[path = "../fuzz/bodies/sign.rs"]
mod sign;
#[path = "../fuzz/bodies/verify.rs"]
mod verify;

#[test]
fn the_seeds_of_fuzz_targets_find_nothing() {
    granary_seeds::replay(
        env!("CARGO_MANIFEST_DIR"),
        &[
            ("chunked", chunked::run),
            ("evaluate", evaluate::run),
            ("policy", policy::run),
            ("sign", sign::run),
            ("verify", verify::run),
        ],
    );
}
