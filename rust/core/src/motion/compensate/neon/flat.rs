//! Blocks of one displacement.

use std::arch::aarch64::*;

use super::{GROUP, TAPS, Tables, Taps, Window, across, down, put};
use crate::motion::geometry::Area;
use crate::motion::plane::Padded;

/// A block into `out`, whose rows are `stride` apart.
#[target_feature(enable = "neon")]
pub(super) fn predict(
    reference: &Padded<u8>,
    tables: &Tables,
    [dx, dy]: [i32; 2],
    block: &Area,
    out: &mut [u8],
    stride: usize,
) {
    let width = block.width();
    let fraction = |d: i32| vdupq_n_s16((d & 15) as i16);
    let taps = Taps::new(tables, fraction(dx), fraction(dy));
    let whole = dx & 15 == 0 && dy & 15 == 0;
    let x = block.columns.start as i32 + (dx >> 4);
    let y = block.rows.start as i32 + (dy >> 4);
    let mut at = 0;
    loop {
        let end = width.min(at + GROUP);
        let column = Column { reference, x: x + at as i32 };
        let mut sums = [vdupq_n_s16(0); TAPS - 1];
        if !whole {
            for (k, sum) in (-1..).zip(&mut sums) {
                *sum = across(column.row(y + k), &tables.places, &taps);
            }
        }
        for row in 0..block.height() {
            let y = y + row as i32;
            let samples = if whole {
                // Those under the second tap.
                vqtbl1_u8(column.row(y), tables.places[1])
            } else {
                // Each row is filtered across once.
                let [a, b, c] = sums;
                let d = across(column.row(y + 2), &tables.places, &taps);
                sums = [b, c, d];
                down([a, b, c, d], &taps)
            };
            put(samples, &mut out[row * stride + at..][..end - at]);
        }
        if end == width {
            return;
        }
        // The last group may overlap the one before.
        at = (at + GROUP).min(width - GROUP);
    }
}

/// What a column of groups sees, from its whole position across on.
struct Column<'a> {
    reference: &'a Padded<u8>,
    x: i32,
}

impl Column<'_> {
    /// The samples of a row and of both sides, or of one further outside that is the same.
    #[target_feature(enable = "neon")]
    #[inline]
    fn row(&self, y: i32) -> uint8x16_t {
        // The window's rows begin one above.
        Window::new(self.reference, self.x, y + 1, 1).load(0)
    }
}
