#![no_main]

#[path = "../bodies/sign.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
