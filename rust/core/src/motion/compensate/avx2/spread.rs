//! Groups whose samples are not all at the same whole position from theirs.

use std::arch::x86_64::*;

use super::{TAPS, Tables, Taps, Window, across, down, narrow};
use crate::motion::plane::Padded;

/// Whole positions of a group that differ by so little that shuffles and a row more reach them all.
pub(super) struct Spread {
    /// The samples that have them.
    pub lanes: __m256i,
    /// The smallest of each half.
    x: [i32; 2],
    y: i32,
    /// By how much the samples' own are larger.
    dx: __m256i,
    dy: __m256i,
}

impl Spread {
    /// Of those that are `left`, the uppermost, and of these the leftmost of each half.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn new(whole_x: __m256i, whole_y: __m256i, left: __m256i) -> Self {
        /// Of the 16 samples that a half loads, the first of its 8 is at most so far in.
        const MOST: i16 = 16 - (8 + TAPS as i16 - 1);
        let none = _mm256_set1_epi16(i16::MAX);
        let masked = _mm256_blendv_epi8(none, whole_y, left);
        let [upper, lower] = both(masked);
        let y = least(_mm_min_epi16(upper, lower));
        let dy = _mm256_sub_epi16(whole_y, _mm256_set1_epi16(y as i16));
        let lanes = _mm256_andnot_si256(_mm256_cmpgt_epi16(dy, _mm256_set1_epi16(1)), left);
        let x = both(_mm256_blendv_epi8(none, whole_x, lanes));
        let x = [least(x[0]), least(x[1])];
        let first = _mm256_set_m128i(_mm_set1_epi16(x[1] as i16), _mm_set1_epi16(x[0] as i16));
        let dx = _mm256_sub_epi16(whole_x, first);
        let lanes = _mm256_andnot_si256(_mm256_cmpgt_epi16(dx, _mm256_set1_epi16(MOST)), lanes);
        Self { lanes, x, y, dx, dy }
    }

    /// Puts the samples in their places in `out`, rows as in `predict_group`.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn interpolate<const ROWS: usize>(
        &self,
        reference: &Padded<u8>,
        tables: &Tables,
        [x, y]: [i32; 2],
        taps: &Taps,
        out: &mut [__m128i; ROWS],
    ) {
        let rows = TAPS + ROWS;
        let left = Window::new(reference, x + self.x[0], y + self.y, rows);
        let right = Window::new(reference, x + 8 + self.x[1], y + self.y, rows);
        let both = _mm256_or_si256(self.dx, _mm256_slli_epi16(self.dx, 8));
        let inner = _mm256_add_epi8(tables.inner, both);
        let outer = _mm256_add_epi8(tables.outer, both);
        let pairs = [inner, outer];
        let lower = _mm256_cmpgt_epi16(self.dy, _mm256_setzero_si256());
        let lanes = narrow(_mm256_packs_epi16(self.lanes, self.lanes));
        let mut last = across(_mm256_set_m128i(right.load::<0>(0), left.load::<0>(0)), pairs, taps);
        let mut sums = [_mm256_setzero_si256(); TAPS - 1];
        for k in 0..rows - 1 {
            let samples = _mm256_set_m128i(right.load::<0>(k + 1), left.load::<0>(k + 1));
            let next = across(samples, pairs, taps);
            let d = _mm256_blendv_epi8(last, next, lower);
            last = next;
            let [a, b, c] = sums;
            sums = [b, c, d];
            if k >= TAPS - 1 {
                let out = &mut out[k - (TAPS - 1)];
                *out = _mm_blendv_epi8(*out, down([a, b, c, d], taps), lanes);
            }
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn both(halves: __m256i) -> [__m128i; 2] {
    [_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)]
}

/// The smallest of some words.
#[target_feature(enable = "avx2")]
#[inline]
fn least(words: __m128i) -> i32 {
    let flip = _mm_set1_epi16(i16::MIN);
    let least = _mm_minpos_epu16(_mm_xor_si128(words, flip));
    i32::from(_mm_extract_epi16(least, 0) as u16 as i16 ^ i16::MIN)
}
