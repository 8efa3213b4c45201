//! The 64 steps of RFC 1321, written once for all widths.

/// The constants of the steps: the integer part of 2^32 · |sin(step + 1)|.
pub(super) const K: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// Runs the 64 steps: `step!(f, a, b, c, d, word, step, shift)` must do
/// `a = b + rotate(a + f(b, c, d) + message[word] + K[step], shift)` for the round function named `f`, `g`, `h` or `i`.
macro_rules! rounds {
    ($step:ident, $a:ident, $b:ident, $c:ident, $d:ident) => {
        rounds!(@round $step, f, $a, $b, $c, $d, 0, [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15], 7, 12, 17, 22);
        rounds!(@round $step, g, $a, $b, $c, $d, 16, [1 6 11 0 5 10 15 4 9 14 3 8 13 2 7 12], 5, 9, 14, 20);
        rounds!(@round $step, h, $a, $b, $c, $d, 32, [5 8 11 14 1 4 7 10 13 0 3 6 9 12 15 2], 4, 11, 16, 23);
        rounds!(@round $step, i, $a, $b, $c, $d, 48, [0 7 14 5 12 3 10 1 8 15 6 13 4 11 2 9], 6, 10, 15, 21);
    };
    (@round $step:ident, $f:ident, $a:ident, $b:ident, $c:ident, $d:ident, $base:literal,
     [$m0:literal $m1:literal $m2:literal $m3:literal $m4:literal $m5:literal $m6:literal $m7:literal
      $m8:literal $m9:literal $m10:literal $m11:literal $m12:literal $m13:literal $m14:literal $m15:literal],
     $s0:literal, $s1:literal, $s2:literal, $s3:literal) => {
        rounds!(@four $step, $f, $a, $b, $c, $d, $base, $m0, $m1, $m2, $m3, $s0, $s1, $s2, $s3);
        rounds!(@four $step, $f, $a, $b, $c, $d, $base + 4, $m4, $m5, $m6, $m7, $s0, $s1, $s2, $s3);
        rounds!(@four $step, $f, $a, $b, $c, $d, $base + 8, $m8, $m9, $m10, $m11, $s0, $s1, $s2, $s3);
        rounds!(@four $step, $f, $a, $b, $c, $d, $base + 12, $m12, $m13, $m14, $m15, $s0, $s1, $s2, $s3);
    };
    (@four $step:ident, $f:ident, $a:ident, $b:ident, $c:ident, $d:ident, $base:expr,
     $m0:literal, $m1:literal, $m2:literal, $m3:literal, $s0:literal, $s1:literal, $s2:literal, $s3:literal) => {
        $step!($f, $a, $b, $c, $d, $m0, $base, $s0);
        $step!($f, $d, $a, $b, $c, $m1, $base + 1, $s1);
        $step!($f, $c, $d, $a, $b, $m2, $base + 2, $s2);
        $step!($f, $b, $c, $d, $a, $m3, $base + 3, $s3);
    };
}

pub(super) use rounds;
