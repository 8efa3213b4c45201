//! Is the vector kernel really in use?
//!
//! `reed-solomon-erasure` silently falls back to table look-ups when its C kernel was not built. The only
//! honest check is to run both and compare: the kernel is ten times and more faster than one look-up a byte.

use std::hint::black_box;
use std::time::{Duration, Instant};

use reed_solomon_erasure::galois_8;

const SAMPLE_LENGTH_BYTES: usize = 64 * 1024;
const ROUNDS: u32 = 15;
const SPEEDUP_MIN: f64 = 4.0;

/// What the start-up self-check found.
#[derive(Debug, Clone, Copy)]
pub struct Acceleration {
    /// How much faster the slice kernel is than byte-wise look-ups, best of several rounds each.
    pub speedup: f64,
    /// Speed of one multiply-and-add pass in bytes a second.
    pub bytes_per_second: f64,
}

impl Acceleration {
    /// Whether the vector kernel is in use.
    #[must_use]
    pub fn is_accelerated(&self) -> bool {
        self.speedup >= SPEEDUP_MIN
    }
}

/// Runs the kernel and the look-ups side by side; takes a few milliseconds.
#[must_use]
pub fn measure_acceleration() -> Acceleration {
    let source: Vec<u8> = (0..SAMPLE_LENGTH_BYTES).map(|i| u8::try_from(i % 251).unwrap_or(0)).collect();
    let mut target = vec![0_u8; SAMPLE_LENGTH_BYTES];
    let kernel = best(|| galois_8::mul_slice_xor(black_box(29), black_box(&source), black_box(&mut target)));
    let look_ups = best(|| {
        for (value, &byte) in target.iter_mut().zip(&source) {
            *value ^= galois_8::mul(black_box(29), byte);
        }
        black_box(&mut target);
    });
    let kernel_seconds = kernel.as_secs_f64().max(1e-9);
    Acceleration {
        speedup: look_ups.as_secs_f64() / kernel_seconds,
        bytes_per_second: 65_536.0 / kernel_seconds,
    }
}

fn best(mut run: impl FnMut()) -> Duration {
    let round = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..ROUNDS).map(round).min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_vector_kernel_is_in_use() {
        let found = super::measure_acceleration();
        assert!(found.is_accelerated(), "{found:?}");
    }
}
