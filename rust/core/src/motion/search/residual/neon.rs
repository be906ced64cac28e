//! As the module above, with NEON.

use std::arch::aarch64::*;

use super::{Area, Cost, Padded, Residual, TILE, Terms, measure_with};

#[target_feature(enable = "neon")]
pub(super) fn measure(
    prediction: &[u8],
    frame: &Padded<u8>,
    area: &Area,
    cost: Cost,
    out: &mut Residual,
) {
    measure_with(prediction, frame, area, cost, out, |terms| transform(terms));
}

#[target_feature(enable = "neon")]
#[inline]
fn transform(terms: &mut Terms) {
    for tile in 0..2 {
        let mut rows = [vdupq_n_s16(0); TILE];
        for (row, terms) in rows.iter_mut().zip(terms.iter()) {
            // SAFETY: the array is of 32 bytes, two tiles.
            *row = unsafe { vld1q_s16(terms.as_ptr().add(tile * TILE)) };
        }
        let rows = butterflies(transpose(butterflies(rows)));
        for (row, terms) in rows.into_iter().zip(terms.iter_mut()) {
            // SAFETY: as above.
            unsafe { vst1q_s16(terms.as_mut_ptr().add(tile * TILE), row) };
        }
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn butterflies(mut rows: [int16x8_t; TILE]) -> [int16x8_t; TILE] {
    for stride in [1, 2, 4] {
        for k in 0..TILE {
            if k & stride == 0 {
                let (a, b) = (rows[k], rows[k + stride]);
                rows[k] = vaddq_s16(a, b);
                rows[k + stride] = vsubq_s16(a, b);
            }
        }
    }
    rows
}

#[target_feature(enable = "neon")]
#[inline]
fn transpose(rows: [int16x8_t; TILE]) -> [int16x8_t; TILE] {
    let [mut ones, mut twos, mut fours] = [[vdupq_n_s32(0); TILE]; 3];
    // Squares of one term are swapped across the diagonals of those of two, these across the
    // diagonals of those of four, and so on.
    for k in [0, 2, 4, 6] {
        ones[k] = vreinterpretq_s32_s16(vtrn1q_s16(rows[k], rows[k + 1]));
        ones[k + 1] = vreinterpretq_s32_s16(vtrn2q_s16(rows[k], rows[k + 1]));
    }
    for k in [0, 1, 4, 5] {
        twos[k] = vtrn1q_s32(ones[k], ones[k + 2]);
        twos[k + 2] = vtrn2q_s32(ones[k], ones[k + 2]);
    }
    for k in 0..4 {
        let (a, b) = (vreinterpretq_s64_s32(twos[k]), vreinterpretq_s64_s32(twos[k + 4]));
        fours[k] = vreinterpretq_s32_s64(vtrn1q_s64(a, b));
        fours[k + 4] = vreinterpretq_s32_s64(vtrn2q_s64(a, b));
    }
    fours.map(|row| vreinterpretq_s16_s32(row))
}
