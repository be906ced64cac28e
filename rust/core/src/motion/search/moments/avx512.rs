//! As with AVX2, with sums of products by one instruction, and registers enough for all of them.

use std::arch::x86_64::*;

use super::avx2::Sums;
use super::{Column, Layout, Moments, STRIP, Strip, sum_spans_with};
use crate::motion::geometry::{Lattice, Span};

#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vnni")]
pub(super) fn sum_spans(
    layout: &Layout,
    weights: &[f32],
    columns: usize,
    lattice: &Lattice,
    v: &Span,
) -> Vec<Moments> {
    sum_spans_with(layout, weights, columns, lattice, v, |column, out| add_column(column, out))
}

#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vnni")]
#[inline]
fn add_column(column: &Column, moments: &mut Moments) {
    let mut sums = Sums::new(&column.counts);
    for (strip, weights, b) in column.strips() {
        sums.add(sum_strip(&strip), weights, b);
    }
    sums.add_to(moments, &column.a);
}

#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vnni")]
#[inline]
fn sum_strip(strip: &Strip) -> [__m256i; 5] {
    // Nearly always whole, which is faster if the compiler knows.
    match strip.rows {
        STRIP => sum_rows(strip, STRIP),
        rows => sum_rows(strip, rows),
    }
}

#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vnni")]
#[inline]
fn sum_rows(strip: &Strip, rows: usize) -> [__m256i; 5] {
    let mut sums = [_mm256_setzero_si256(); 5];
    let [mut above, mut here] = [strip.prediction(0, 1), strip.prediction(1, 1)];
    for y in 0..rows {
        let [gx, gy, e] = strip.differences(y, &mut above, &mut here);
        for (sum, [a, b]) in sums.iter_mut().zip([[gx, gx], [gx, gy], [gy, gy], [gx, e], [gy, e]]) {
            *sum = _mm256_dpwssd_epi32(*sum, a, b);
        }
    }
    sums
}
