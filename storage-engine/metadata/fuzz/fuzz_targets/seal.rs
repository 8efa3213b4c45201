//! Any seal of a snapshot: see `granary_metadata::fuzzing::seal`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| granary_metadata::fuzzing::seal(data));
