//! As the module above, with AVX2.

use std::arch::x86_64::*;

use super::{LANES, Layout, Moments, Strip, StripSums, sum_spans_with};
use crate::motion::geometry::{Lattice, Span};

#[target_feature(enable = "avx2")]
pub(super) fn sum_spans(
    layout: &Layout,
    weights: &[f32],
    columns: usize,
    lattice: &Lattice,
    v: &Span,
) -> Vec<Moments> {
    sum_spans_with(layout, weights, columns, lattice, v, |strip| sum_strip(strip))
}

#[target_feature(enable = "avx2")]
#[inline]
fn sum_strip(strip: &Strip) -> StripSums {
    let mut sums = [_mm256_setzero_si256(); 5];
    for y in 0..strip.rows {
        let gx = _mm256_sub_epi16(strip.prediction(y + 1, 2), strip.prediction(y + 1, 0));
        let gy = _mm256_sub_epi16(strip.prediction(y + 2, 1), strip.prediction(y, 1));
        let e = _mm256_sub_epi16(strip.frame(y), strip.prediction(y + 1, 1));
        sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(gx, gx));
        sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(gx, gy));
        sums[2] = _mm256_add_epi32(sums[2], _mm256_madd_epi16(gy, gy));
        sums[3] = _mm256_add_epi32(sums[3], _mm256_madd_epi16(gx, e));
        sums[4] = _mm256_add_epi32(sums[4], _mm256_madd_epi16(gy, e));
    }
    let [a, b, c, d, e] = sums;
    [lanes(a), lanes(b), lanes(c), lanes(d), lanes(e)]
}

impl Strip<'_> {
    /// A group of samples of a row of the prediction, beginning with the one above the strip.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn prediction(&self, row: usize, x: usize) -> __m256i {
        debug_assert!(row < self.rows + 2 && x <= 2);
        // SAFETY: `strip` has seen that GROUP + 2 samples of each of these rows are there.
        let samples = unsafe { self.prediction.as_ptr().add(row * self.stride + x) };
        // SAFETY: as above.
        _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(samples.cast()) })
    }

    /// A group of samples of a row of the frame.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn frame(&self, row: usize) -> __m256i {
        debug_assert!(row < self.rows);
        // SAFETY: `strip` has seen that GROUP samples of each of these rows are there.
        let samples = unsafe { self.frame.as_ptr().add(row * self.frame_stride) };
        // SAFETY: as above.
        _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(samples.cast()) })
    }
}

#[inline(always)]
fn lanes(sums: __m256i) -> [i32; LANES] {
    // SAFETY: any bits are integers.
    unsafe { std::mem::transmute(sums) }
}
