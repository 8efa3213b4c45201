//! Any segment of the metadata log, and any changes in a sound frame: see `granary_metadata::fuzzing::log`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| granary_metadata::fuzzing::log(data));
