//! How fast units are encrypted and decrypted on one core.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement by hand")]

use std::time::Instant;

use bytes::Bytes;
use granary_keys::units::{Opener, Sealer, StreamId};
use granary_keys::{KeyRing, Keys};
use granary_types::UnixMillis;

const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS: u64 = 16 * 1024;

fn main() {
    let (_, key) = KeyRing::new(Keys::generate(UnixMillis(0)).unwrap()).seal_managed().unwrap();
    let chunk = Bytes::from(vec![7_u8; CHUNK_BYTES]);
    let plain_bytes = CHUNKS * CHUNK_BYTES as u64;
    let mut sealer = Sealer::new(&key, StreamId::Whole).unwrap();
    let mut stored = Vec::new();
    let started = Instant::now();
    let mut units = 0;
    for _ in 0..CHUNKS {
        let mut rest = chunk.clone();
        while let Some(unit) = sealer.push(&mut rest).unwrap() {
            units += 1;
            if units <= 64 {
                stored.push(unit);
            }
        }
    }
    report("encrypted", plain_bytes, started);
    let mut opened_bytes = 0;
    let started = Instant::now();
    while opened_bytes < plain_bytes {
        let mut opener = Opener::new(&key, StreamId::Whole, plain_bytes, (0, plain_bytes)).unwrap();
        for unit in &stored {
            let mut rest = unit.clone();
            while let Some(plain) = opener.push(&mut rest).unwrap() {
                opened_bytes += plain.len() as u64;
            }
        }
    }
    report("decrypted", opened_bytes, started);
    let started = Instant::now();
    let ring = KeyRing::new(Keys::generate(UnixMillis(0)).unwrap());
    for _ in 0..100_000 {
        ring.seal_managed().unwrap();
    }
    println!("sealed data keys: {:.2} us each", started.elapsed().as_secs_f64() * 10.0);
}

fn report(what: &str, bytes: u64, started: Instant) {
    println!("{what}: {:.0} MB/s", bytes as f64 / 1e6 / started.elapsed().as_secs_f64());
}
