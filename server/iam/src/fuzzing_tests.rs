#[path = "../fuzz/bodies/web_identity.rs"]
mod web_identity;

#[test]
fn the_seeds_of_fuzz_targets_find_nothing() {
    granary_seeds::replay(env!("CARGO_MANIFEST_DIR"), &[("web_identity", web_identity::run)]);
}
