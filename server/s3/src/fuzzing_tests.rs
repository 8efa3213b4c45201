#[path = "../fuzz/bodies/form.rs"]
mod form;
#[path = "../fuzz/bodies/request.rs"]
mod request;
#[path = "../fuzz/bodies/xml.rs"]
mod xml;

#[test]
fn the_seeds_of_fuzz_targets_find_nothing() {
    granary_seeds::replay(
        env!("CARGO_MANIFEST_DIR"),
        &[("form", form::run), ("request", request::run), ("xml", xml::run)],
    );
}
