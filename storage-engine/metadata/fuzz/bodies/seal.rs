//! Any seal of a snapshot: see `granary_metadata::fuzzing::seal`.

pub(crate) fn run(data: &[u8]) {
    granary_metadata::fuzzing::seal(data);
}
