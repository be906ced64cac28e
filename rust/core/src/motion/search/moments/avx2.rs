//! As the module above, with AVX2.

use std::arch::x86_64::*;

use super::{GROUP, LANES, Layout, Moments, Rows, StripSums, sum_spans_with};
use crate::motion::geometry::{Lattice, Span};

#[target_feature(enable = "avx2")]
pub(super) fn sum_spans(
    layout: &Layout,
    weights: &[f32],
    columns: usize,
    lattice: &Lattice,
    v: &Span,
) -> Vec<Moments> {
    sum_spans_with(layout, weights, columns, lattice, v, |layout, x, y, count| {
        sum_strip(layout, x, y, count)
    })
}

#[target_feature(enable = "avx2")]
#[inline]
fn sum_strip(layout: &Layout, x: usize, y: usize, count: usize) -> StripSums {
    let mut sums = [_mm256_setzero_si256(); 5];
    for y in y..y + count {
        let Rows { above, left, here, right, below, frame } = layout.rows(x, y);
        let gx = _mm256_sub_epi16(widen(right), widen(left));
        let gy = _mm256_sub_epi16(widen(below), widen(above));
        let e = _mm256_sub_epi16(widen(frame), widen(here));
        sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(gx, gx));
        sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(gx, gy));
        sums[2] = _mm256_add_epi32(sums[2], _mm256_madd_epi16(gy, gy));
        sums[3] = _mm256_add_epi32(sums[3], _mm256_madd_epi16(gx, e));
        sums[4] = _mm256_add_epi32(sums[4], _mm256_madd_epi16(gy, e));
    }
    let [a, b, c, d, e] = sums;
    [lanes(a), lanes(b), lanes(c), lanes(d), lanes(e)]
}

#[target_feature(enable = "avx2")]
#[inline]
fn widen(samples: &[u8; GROUP]) -> __m256i {
    // SAFETY: the array is of 16 bytes.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(samples.as_ptr().cast()) })
}

#[inline(always)]
fn lanes(sums: __m256i) -> [i32; LANES] {
    // SAFETY: any bits are integers.
    unsafe { std::mem::transmute(sums) }
}
