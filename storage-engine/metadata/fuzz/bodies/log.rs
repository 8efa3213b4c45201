//! Any segment of the metadata log, and any changes in a sound frame: see `granary_metadata::fuzzing::log`.

pub(crate) fn run(data: &[u8]) {
    granary_metadata::fuzzing::log(data);
}
