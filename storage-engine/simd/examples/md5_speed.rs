//! Prints how fast each kernel hashes 1 to 16 streams, in MB/s over all of them, and the `md-5` crate's one.

use std::time::{Duration, Instant};

use granary_simd::md5::{Kernel, Lane, Md5};
use md5::Digest as _;

const PIECE_BYTES: usize = 64 * 1024;
const TIME: Duration = Duration::from_millis(300);

fn rate(bytes_a_turn: usize, mut turn: impl FnMut()) -> f64 {
    let mut rates: Vec<f64> = (0..5)
        .map(|_| {
            let (started, mut turns) = (Instant::now(), 0_u32);
            while started.elapsed() < TIME {
                turn();
                turns += 1;
            }
            f64::from(turns) * bytes_a_turn as f64 / started.elapsed().as_secs_f64() / 1e6
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() {
    let data: Vec<Vec<u8>> = (0..16).map(|lane| vec![lane; PIECE_BYTES]).collect();
    let pieces: Vec<[&[u8]; 1]> = data.iter().map(|data| [data.as_slice()]).collect();
    let mut one = md5::Md5::new();
    println!(
        "{:>10} {:>2} streams {:>8.0} MB/s",
        "md-5 crate",
        1,
        rate(PIECE_BYTES, || one.update(&data[0]))
    );
    for kernel in Kernel::available() {
        for streams in [1, 2, 4, 8, 16] {
            let mut hashes = vec![Md5::default(); streams];
            let rate = rate(streams * PIECE_BYTES, || {
                let lanes = hashes.iter_mut().zip(&pieces).map(|(md5, pieces)| Lane { md5, pieces });
                kernel.update(&mut lanes.collect::<Vec<_>>());
            });
            println!("{:>10} {streams:>2} streams {rate:>8.0} MB/s", kernel.name());
        }
    }
}
