//! Blocks of one displacement.

use std::arch::x86_64::*;

use super::{GROUP, TAPS, Tables, Taps, Window, across, bytes, down};
use crate::motion::geometry::Area;
use crate::motion::plane::Padded;

/// A block into `out`, whose rows are `stride` apart.
#[target_feature(enable = "avx2")]
pub(super) fn predict(
    reference: &Padded<u8>,
    tables: &Tables,
    [dx, dy]: [i32; 2],
    block: &Area,
    out: &mut [u8],
    stride: usize,
) {
    let width = block.width();
    let fraction = |d: i32| _mm256_set1_epi16((d & 15) as i16);
    let taps = Taps::new(tables, fraction(dx), fraction(dy));
    let pairs = [tables.inner, tables.outer];
    let whole = dx & 15 == 0 && dy & 15 == 0;
    let x = block.columns.start as i32 + (dx >> 4);
    let y = block.rows.start as i32 + (dy >> 4);
    let mut at = 0;
    loop {
        let end = width.min(at + GROUP);
        let column = Column { reference, x: x + at as i32 };
        let mut sums = [_mm256_setzero_si256(); TAPS - 1];
        if !whole {
            for (k, sum) in (-1..).zip(&mut sums) {
                *sum = across(column.halves(y + k), pairs, &taps);
            }
        }
        for row in 0..block.height() {
            let y = y + row as i32;
            let samples = if whole {
                column.here(y)
            } else {
                // Each row is filtered across once.
                let [a, b, c] = sums;
                let d = across(column.halves(y + 2), pairs, &taps);
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
    /// The samples of a row, or of one further outside that is the same.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn here(&self, y: i32) -> __m128i {
        self.window(y).load::<1>(0)
    }

    /// As `here`, with those on both sides.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn halves(&self, y: i32) -> __m256i {
        self.window(y).halves(0)
    }

    #[inline(always)]
    fn window(&self, y: i32) -> Window<'_> {
        // Its rows begin one above.
        Window::new(self.reference, self.x, y + 1, 1)
    }
}

/// As many of the samples as there is room for.
#[target_feature(enable = "avx2")]
#[inline]
fn put(samples: __m128i, out: &mut [u8]) {
    match out.first_chunk_mut::<GROUP>() {
        Some(out) => *out = bytes(samples),
        None => out.copy_from_slice(&bytes(samples)[..out.len()]),
    }
}
