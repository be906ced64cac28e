//! As the module above, with NEON for the sums of products; for the weights the compiler finds
//! vectors by itself.

use std::arch::aarch64::*;

use super::{Column, LANES, LaneSums, Layout, Moments, STRIP, Strip, StripSums, sum_spans_with};
use crate::motion::geometry::{Lattice, Span};

#[target_feature(enable = "neon")]
pub(super) fn sum_spans(
    layout: &Layout,
    weights: &[f32],
    columns: usize,
    lattice: &Lattice,
    v: &Span,
) -> Vec<Moments> {
    sum_spans_with(layout, weights, columns, lattice, v, |column, out| add_column(column, out))
}

#[target_feature(enable = "neon")]
#[inline]
fn add_column(column: &Column, moments: &mut Moments) {
    let mut sums = LaneSums::default();
    for (strip, weights, b) in column.strips() {
        sums.add(&sum_strip(&strip), &weights, b, &column.counts);
    }
    moments.add(&sums, &column.a);
}

#[target_feature(enable = "neon")]
#[inline]
fn sum_strip(strip: &Strip) -> StripSums {
    // Nearly always whole, which is faster if the compiler knows.
    let rows = |count: usize| [sum_rows(strip, 0, count), sum_rows(strip, HALF, count)];
    let [left, right] = match strip.rows {
        STRIP => rows(STRIP),
        count => rows(count),
    };
    let mut sums = StripSums::default();
    for (sums, (left, right)) in sums.iter_mut().zip(left.into_iter().zip(right)) {
        // SAFETY: the arrays are of 32 bytes.
        unsafe {
            vst1q_s32(sums.as_mut_ptr(), left);
            vst1q_s32(sums.as_mut_ptr().add(HALF / 2), right);
        }
    }
    sums
}

/// Columns of half a group, as many as there are in a vector of differences.
const HALF: usize = LANES;

/// Of the half of a group that begins at `x`.
#[target_feature(enable = "neon")]
#[inline]
fn sum_rows(strip: &Strip, x: usize, rows: usize) -> [int32x4_t; 5] {
    let mut low = [vdupq_n_s32(0); 5];
    let mut high = low;
    let [mut above, mut here] = [strip.prediction(0, x + 1), strip.prediction(1, x + 1)];
    for y in 0..rows {
        let below = strip.prediction(y + 2, x + 1);
        let gx = subtract(strip.prediction(y + 1, x + 2), strip.prediction(y + 1, x));
        let gy = subtract(below, above);
        let e = subtract(strip.frame(y, x), here);
        (above, here) = (here, below);
        for (k, [a, b]) in [[gx, gx], [gx, gy], [gy, gy], [gx, e], [gy, e]].into_iter().enumerate()
        {
            low[k] = vmlal_s16(low[k], vget_low_s16(a), vget_low_s16(b));
            high[k] = vmlal_high_s16(high[k], a, b);
        }
    }
    for (low, high) in low.iter_mut().zip(high) {
        *low = vpaddq_s32(*low, high);
    }
    low
}

#[target_feature(enable = "neon")]
#[inline]
fn subtract(a: uint8x8_t, b: uint8x8_t) -> int16x8_t {
    vreinterpretq_s16_u16(vsubl_u8(a, b))
}

impl Strip<'_> {
    /// Half a group of samples of a row of the prediction, beginning with the one above the strip.
    #[target_feature(enable = "neon")]
    #[inline]
    fn prediction(&self, row: usize, x: usize) -> uint8x8_t {
        debug_assert!(row < self.rows + 2 && x <= HALF + 2);
        // SAFETY: `strip` has seen that GROUP + 2 samples of each of these rows are there.
        unsafe { vld1_u8(self.prediction.as_ptr().add(row * self.stride + x)) }
    }

    /// Half a group of samples of a row of the frame.
    #[target_feature(enable = "neon")]
    #[inline]
    fn frame(&self, row: usize, x: usize) -> uint8x8_t {
        debug_assert!(row < self.rows && x <= HALF);
        // SAFETY: `strip` has seen that GROUP samples of each of these rows are there.
        unsafe { vld1_u8(self.frame.as_ptr().add(row * self.frame_stride + x)) }
    }
}
