//! Blocks of one displacement.

use std::arch::x86_64::*;

use super::{GROUP, Tables, Taps, pair, put, samples};
use crate::motion::geometry::Area;
use crate::motion::plane::Padded;

/// A block of one displacement into `out`, whose rows are `stride` apart.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
pub(super) fn predict(
    reference: &Padded<u8>,
    tables: &Tables,
    [dx, dy]: [i32; 2],
    block: &Area,
    out: &mut [u8],
    stride: usize,
) {
    let phase = |d: i32| _mm512_set1_epi32(d);
    let taps = Taps {
        across: _mm512_permutexvar_epi32(phase(dx), tables.across),
        down: [
            _mm512_permutexvar_epi32(phase(dy), tables.down[0]),
            _mm512_permutexvar_epi32(phase(dy), tables.down[1]),
        ],
    };
    let places = _mm512_permutexvar_epi32(phase(dx), tables.places);
    let places = _mm512_add_epi8(_mm512_shuffle_epi8(tables.counting, tables.lowest), places);
    let whole = dx & 15 == 0 && dy & 15 == 0;
    let right = reference.width() as i32;
    let (width, height) = (block.width(), block.height());
    for at in (0..width).step_by(GROUP) {
        let column = Column {
            reference,
            // Further outside all samples are the same.
            x: ((block.columns.start + at) as i32 + (dx >> 4)).clamp(-(GROUP as i32 + 2), right),
            y: block.rows.start as i32 + (dy >> 4),
        };
        let mut put = |k: usize, samples| put(samples, &mut out[k * stride + at..], width - at);
        if whole {
            (0..height).for_each(|k| put(k, column.here(k as i32)));
            continue;
        }
        let across = |k: i32| taps.across(_mm512_permutexvar_epi8(places, column.around(k)));
        let sums = [across(-1), across(0), across(1)];
        let mut last = sums[2];
        let mut pairs = [pair(sums[0], sums[1]), pair(sums[1], sums[2])];
        for k in 0..height {
            let next = across(k as i32 + 2);
            let lower = pair(last, next);
            put(k, samples(taps.down(pairs[0], lower)));
            pairs = [pairs[1], lower];
            last = next;
        }
    }
}

/// What groups below each other see.
struct Column<'a> {
    reference: &'a Padded<u8>,
    x: i32,
    y: i32,
}

impl Column<'_> {
    /// The samples of a row.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn here(&self, row: i32) -> __m128i {
        // SAFETY: GROUP samples behind the first are there.
        unsafe { _mm_loadu_si128(self.row(row).as_ptr().add(1).cast()) }
    }

    /// As `here`, beginning one before, with more behind them than the taps need.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn around(&self, row: i32) -> __m512i {
        // SAFETY: so many samples are there.
        _mm512_zextsi256_si512(unsafe { _mm256_loadu_si256(self.row(row).as_ptr().cast()) })
    }

    #[inline(always)]
    fn row(&self, row: i32) -> &[u8; 2 * GROUP] {
        let y = (self.y + row).clamp(-1, self.reference.height() as i32);
        let (samples, _) = self.reference.block(self.x - 1, y);
        samples.first_chunk().expect("within the border")
    }
}
