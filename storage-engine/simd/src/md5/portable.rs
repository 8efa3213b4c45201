//! Plain arithmetic, for one stream or two: two chains in turn hide most of each other's waiting.

use super::schedule::{K, rounds};
use super::{Block, Words, gather, rows, scatter};

/// Hashes equally many blocks of each stream.
pub(super) fn compress(states: &mut [&mut [u32; 4]], blocks: &[&[Block]]) {
    for (states, blocks) in states.chunks_mut(2).zip(blocks.chunks(2)) {
        if states.len() == 1 {
            compress_lanes::<1>(states, blocks);
        } else {
            compress_lanes::<2>(states, blocks);
        }
    }
}

fn compress_lanes<const LANES: usize>(states: &mut [&mut [u32; 4]], blocks: &[&[Block]]) {
    let rows = rows::<LANES>(blocks);
    let mut words = gather::<LANES>(states);
    for block in 0..rows[0].len() {
        let mut message = [[0; LANES]; 16];
        for (lane, row) in rows.iter().enumerate() {
            for (word, bytes) in message.iter_mut().zip(row[block].as_chunks().0) {
                word[lane] = u32::from_le_bytes(*bytes);
            }
        }
        add_block(&mut words, &message);
    }
    scatter(&words, states);
}

#[inline(always)]
fn add_block<const LANES: usize>(words: &mut Words<LANES>, message: &[[u32; LANES]; 16]) {
    let [mut a, mut b, mut c, mut d] = *words;
    macro_rules! step {
        ($f:ident, $a:ident, $b:ident, $c:ident, $d:ident, $word:expr, $step:expr, $shift:literal) => {
            for lane in 0..LANES {
                let early = $a[lane].wrapping_add(message[$word][lane]).wrapping_add(K[$step]);
                let sum = $f(early, $b[lane], $c[lane], $d[lane]);
                $a[lane] = $b[lane].wrapping_add(sum.rotate_left($shift));
            }
        };
    }
    rounds!(step, a, b, c, d);
    for (word, change) in words.iter_mut().zip([a, b, c, d]) {
        for (word, change) in word.iter_mut().zip(change) {
            *word = word.wrapping_add(change);
        }
    }
}

// Each adds its round's function to `early`. `b` is the word that comes last, so the forms with the fewest
// operations after it are chosen.

fn f(early: u32, b: u32, c: u32, d: u32) -> u32 {
    early.wrapping_add(d ^ (b & (c ^ d)))
}

fn g(early: u32, b: u32, c: u32, d: u32) -> u32 {
    // The two halves share no bit, so that they may be added one by one.
    early.wrapping_add(c & !d).wrapping_add(b & d)
}

fn h(early: u32, b: u32, c: u32, d: u32) -> u32 {
    early.wrapping_add(b ^ (c ^ d))
}

fn i(early: u32, b: u32, c: u32, d: u32) -> u32 {
    early.wrapping_add(c ^ (b | !d))
}
