//! Lanes of AVX2 and AVX-512 vectors.
//!
//! A step waits for four to six instructions of the step before, however wide they are. AVX-512 has any function of three
//! words and the rotation as one instruction each, also on narrow vectors, which are taken for few streams.

use std::arch::x86_64::*;

use super::schedule::{K, rounds};
use super::{Block, gather, portable, rows, scatter};

/// Hashes equally many blocks of up to 16 streams.
#[target_feature(enable = "avx2")]
pub(super) fn compress_avx2(states: &mut [&mut [u32; 4]], blocks: &[&[Block]]) {
    for (states, blocks) in states.chunks_mut(8).zip(blocks.chunks(8)) {
        if states.len() <= 2 {
            portable::compress(states, blocks);
        } else {
            avx2_8::compress(states, blocks);
        }
    }
}

/// Hashes equally many blocks of up to 16 streams.
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn compress_avx512(states: &mut [&mut [u32; 4]], blocks: &[&[Block]]) {
    match states.len() {
        0 => {}
        1..=4 => avx512_4::compress(states, blocks),
        5..=8 => avx512_8::compress(states, blocks),
        _ => avx512_16::compress(states, blocks),
    }
}

/// A kernel of one width; its vectors' operations are those in scope where it is expanded.
macro_rules! kernel {
    ($lanes:literal, $vector:ty, $features:literal) => {
        #[target_feature(enable = $features)]
        pub(super) fn compress(states: &mut [&mut [u32; 4]], blocks: &[&[Block]]) {
            let rows = rows::<$lanes>(blocks);
            let mut words = gather::<$lanes>(states);
            let [mut a, mut b, mut c, mut d] = words.each_ref().map(|word| load(word));
            for block in 0..rows[0].len() {
                let message: [$vector; 16] = transpose(rows.each_ref().map(|row| &row[block]));
                macro_rules! step {
                    ($f:ident, $a:ident, $b:ident, $c:ident, $d:ident, $word:expr, $step:expr, $shift:literal) => {
                        // The function of `b` is added last, because `b` comes last.
                        let early = add($a, add(message[$word], splat(K[$step])));
                        $a = add($b, rotate::<$shift, { 32 - $shift }>(add(early, $f($b, $c, $d))));
                    };
                }
                let (a0, b0, c0, d0) = (a, b, c, d);
                rounds!(step, a, b, c, d);
                (a, b, c, d) = (add(a0, a), add(b0, b), add(c0, c), add(d0, d));
            }
            for (word, vector) in words.iter_mut().zip([a, b, c, d]) {
                store(word, vector);
            }
            scatter(&words, states);
        }
    };
}

/// Round functions as tables of three bits, which AVX-512 looks up in one instruction.
macro_rules! ternary_functions {
    ($vector:ty, $lookup:ident, $features:literal) => {
        ternary_functions!(@one f, $vector, $lookup, $features, 0xca);
        ternary_functions!(@one g, $vector, $lookup, $features, 0xe4);
        ternary_functions!(@one h, $vector, $lookup, $features, 0x96);
        ternary_functions!(@one i, $vector, $lookup, $features, 0x39);
    };
    (@one $name:ident, $vector:ty, $lookup:ident, $features:literal, $table:literal) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn $name(b: $vector, c: $vector, d: $vector) -> $vector {
            $lookup::<$table>(b, c, d)
        }
    };
}

/// The operations that all vectors have.
macro_rules! operations {
    ($lanes:literal, $vector:ty, $load:ident, $store:ident, $add:ident, $splat:ident, $features:literal) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn load(words: &[u32; $lanes]) -> $vector {
            // SAFETY: the array is exactly as long as the vector, and the load asks for no alignment.
            unsafe { $load(words.as_ptr().cast()) }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn store(words: &mut [u32; $lanes], vector: $vector) {
            // SAFETY: the array is exactly as long as the vector, and the store asks for no alignment.
            unsafe { $store(words.as_mut_ptr().cast(), vector) }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn add(a: $vector, b: $vector) -> $vector {
            $add(a, b)
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn splat(word: u32) -> $vector {
            $splat(word.cast_signed())
        }
    };
}

macro_rules! rotate_in_one {
    ($vector:ty, $rotate:ident, $features:literal) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn rotate<const LEFT: i32, const RIGHT: i32>(vector: $vector) -> $vector {
            $rotate::<LEFT>(vector)
        }
    };
}

/// 16 bytes of a block, which hold words `4 * quarter` to `4 * quarter + 3`.
#[inline]
#[target_feature(enable = "sse2")]
fn quarter(block: &Block, quarter: usize) -> __m128i {
    let bytes = &block.as_chunks::<16>().0[quarter];
    // SAFETY: `bytes` is 16 bytes long, as the vector is, and the load asks for no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// Turns the rows of four 4×4 matrices, one in each 128-bit part of the vectors, into columns.
macro_rules! transpose_fours {
    ($rows:expr, $lo32:ident, $hi32:ident, $lo64:ident, $hi64:ident) => {{
        let [r0, r1, r2, r3] = $rows;
        let (even_lo, even_hi) = ($lo32(r0, r1), $hi32(r0, r1));
        let (odd_lo, odd_hi) = ($lo32(r2, r3), $hi32(r2, r3));
        [$lo64(even_lo, odd_lo), $hi64(even_lo, odd_lo), $lo64(even_hi, odd_hi), $hi64(even_hi, odd_hi)]
    }};
}

/// `message[word]` holds that word of each lane's block: quarters of the blocks are put into the parts of vectors, so
/// that what is left to do stays within the parts.
macro_rules! transpose {
    ($lanes:literal, $vector:ty, $row:ident, $lo32:ident, $hi32:ident, $lo64:ident, $hi64:ident, $features:literal) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn transpose(blocks: [&Block; $lanes]) -> [$vector; 16] {
            let mut message = [splat(0); 16];
            for (part, words) in message.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let rows = [0, 1, 2, 3].map(|row| $row(&blocks, row, part));
                *words = transpose_fours!(rows, $lo32, $hi32, $lo64, $hi64);
            }
            message
        }
    };
}

mod avx512_4 {
    use super::*;

    kernel!(4, __m128i, "avx512f,avx512vl");
    operations!(
        4,
        __m128i,
        _mm_loadu_si128,
        _mm_storeu_si128,
        _mm_add_epi32,
        _mm_set1_epi32,
        "avx512f,avx512vl"
    );
    ternary_functions!(__m128i, _mm_ternarylogic_epi32, "avx512f,avx512vl");
    rotate_in_one!(__m128i, _mm_rol_epi32, "avx512f,avx512vl");
    transpose!(
        4,
        __m128i,
        row,
        _mm_unpacklo_epi32,
        _mm_unpackhi_epi32,
        _mm_unpacklo_epi64,
        _mm_unpackhi_epi64,
        "avx512f,avx512vl"
    );

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    fn row(blocks: &[&Block; 4], row: usize, part: usize) -> __m128i {
        quarter(blocks[row], part)
    }
}

mod avx512_8 {
    use super::*;

    kernel!(8, __m256i, "avx512f,avx512vl");
    operations!(
        8,
        __m256i,
        _mm256_loadu_si256,
        _mm256_storeu_si256,
        _mm256_add_epi32,
        _mm256_set1_epi32,
        "avx512f,avx512vl"
    );
    ternary_functions!(__m256i, _mm256_ternarylogic_epi32, "avx512f,avx512vl");
    rotate_in_one!(__m256i, _mm256_rol_epi32, "avx512f,avx512vl");
    transpose!(
        8,
        __m256i,
        pair_of_rows,
        _mm256_unpacklo_epi32,
        _mm256_unpackhi_epi32,
        _mm256_unpacklo_epi64,
        _mm256_unpackhi_epi64,
        "avx512f,avx512vl"
    );
}

mod avx512_16 {
    use super::*;

    kernel!(16, __m512i, "avx512f,avx512vl");
    operations!(
        16,
        __m512i,
        _mm512_loadu_si512,
        _mm512_storeu_si512,
        _mm512_add_epi32,
        _mm512_set1_epi32,
        "avx512f,avx512vl"
    );
    ternary_functions!(__m512i, _mm512_ternarylogic_epi32, "avx512f,avx512vl");
    rotate_in_one!(__m512i, _mm512_rol_epi32, "avx512f,avx512vl");
    transpose!(
        16,
        __m512i,
        row,
        _mm512_unpacklo_epi32,
        _mm512_unpackhi_epi32,
        _mm512_unpacklo_epi64,
        _mm512_unpackhi_epi64,
        "avx512f,avx512vl"
    );

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    fn row(blocks: &[&Block; 16], row: usize, part: usize) -> __m512i {
        let vector = _mm512_castsi128_si512(quarter(blocks[row], part));
        let vector = _mm512_inserti32x4::<1>(vector, quarter(blocks[row + 4], part));
        let vector = _mm512_inserti32x4::<2>(vector, quarter(blocks[row + 8], part));
        _mm512_inserti32x4::<3>(vector, quarter(blocks[row + 12], part))
    }
}

mod avx2_8 {
    use super::*;

    kernel!(8, __m256i, "avx2");
    operations!(
        8,
        __m256i,
        _mm256_loadu_si256,
        _mm256_storeu_si256,
        _mm256_add_epi32,
        _mm256_set1_epi32,
        "avx2"
    );
    transpose!(
        8,
        __m256i,
        pair_of_rows,
        _mm256_unpacklo_epi32,
        _mm256_unpackhi_epi32,
        _mm256_unpacklo_epi64,
        _mm256_unpackhi_epi64,
        "avx2"
    );

    #[inline]
    #[target_feature(enable = "avx2")]
    fn rotate<const LEFT: i32, const RIGHT: i32>(vector: __m256i) -> __m256i {
        _mm256_or_si256(_mm256_slli_epi32::<LEFT>(vector), _mm256_srli_epi32::<RIGHT>(vector))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn f(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn g(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        f(d, b, c)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn h(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        _mm256_xor_si256(b, _mm256_xor_si256(c, d))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn i(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        let not_d = _mm256_xor_si256(d, _mm256_set1_epi32(-1));
        _mm256_xor_si256(c, _mm256_or_si256(b, not_d))
    }
}

/// A quarter of a lane's block, and beside it that of the lane four further.
#[inline]
#[target_feature(enable = "avx2")]
fn pair_of_rows(blocks: &[&Block; 8], row: usize, part: usize) -> __m256i {
    _mm256_set_m128i(quarter(blocks[row + 4], part), quarter(blocks[row], part))
}
