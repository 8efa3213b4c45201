#![no_main]

#[path = "../bodies/web_identity.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
