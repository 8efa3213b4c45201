#[path = "../../../fuzz/bodies/log.rs"]
mod log;
#[path = "../../../fuzz/bodies/seal.rs"]
mod seal;

#[test]
fn the_seeds_of_fuzz_targets_find_nothing() {
    granary_seeds::replay(env!("CARGO_MANIFEST_DIR"), &[("log", log::run), ("seal", seal::run)]);
}
