//! Groups whose samples are not all at the same whole position from theirs.

use std::arch::x86_64::*;

use super::{TAPS, Tables, Taps, Window, across, down, narrow};
use crate::motion::plane::Padded;

/// Rows that samples of a group may be apart to be taken from the same window.
const MOST_DOWN: i16 = 15;

/// Of the 16 samples that a half loads, the first of its 8 is at most so far in.
const MOST_ACROSS: i16 = 16 - (8 + TAPS as i16 - 1);

/// Samples of a group whose whole positions differ by so little that one window holds them all.
pub(super) struct Spread {
    pub lanes: __m256i,
    /// The smallest of each half.
    x: [i32; 2],
    y: i32,
    /// By how much the samples' own are larger.
    dx: __m256i,
    dy: __m256i,
    /// The largest of `dy`.
    apart: usize,
}

impl Spread {
    /// The whole group, if its first and last samples and those in the middle are the outermost, as
    /// they mostly are; `ends` are their whole positions: two across for each half, two down.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn of_all(whole_x: __m256i, whole_y: __m256i, ends: [[i32; 2]; 3]) -> Option<Self> {
        let [left, right, down] = ends;
        let x = [left[0].min(left[1]), right[0].min(right[1])];
        let (y, apart) = (down[0].min(down[1]), down[0].abs_diff(down[1]));
        if apart > MOST_DOWN as u32 {
            return None;
        }
        let first = _mm256_set_m128i(_mm_set1_epi16(x[1] as i16), _mm_set1_epi16(x[0] as i16));
        let dx = _mm256_sub_epi16(whole_x, first);
        let dy = _mm256_sub_epi16(whole_y, _mm256_set1_epi16(y as i16));
        let near_x = _mm256_min_epu16(dx, _mm256_set1_epi16(MOST_ACROSS));
        let near_y = _mm256_min_epu16(dy, _mm256_set1_epi16(apart as i16));
        let far = _mm256_or_si256(_mm256_xor_si256(dx, near_x), _mm256_xor_si256(dy, near_y));
        let lanes = _mm256_set1_epi16(-1);
        let apart = apart as usize;
        (_mm256_testz_si256(far, far) == 1).then_some(Self { lanes, x, y, dx, dy, apart })
    }

    /// Of those that are `left`, the uppermost and what is near, and of these the leftmost of each
    /// half.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn new(whole_x: __m256i, whole_y: __m256i, left: __m256i) -> Self {
        let none = _mm256_set1_epi16(i16::MAX);
        let y = least(_mm256_blendv_epi8(none, whole_y, left));
        let dy = _mm256_sub_epi16(whole_y, _mm256_set1_epi16(y as i16));
        let lanes = _mm256_andnot_si256(_mm256_cmpgt_epi16(dy, _mm256_set1_epi16(MOST_DOWN)), left);
        let [upper, lower] = both(_mm256_blendv_epi8(none, whole_x, lanes));
        let x = [least_of_half(upper), least_of_half(lower)];
        let first = _mm256_set_m128i(_mm_set1_epi16(x[1] as i16), _mm_set1_epi16(x[0] as i16));
        let dx = _mm256_sub_epi16(whole_x, first);
        let far = _mm256_cmpgt_epi16(dx, _mm256_set1_epi16(MOST_ACROSS));
        let lanes = _mm256_andnot_si256(far, lanes);
        let ups = _mm256_sub_epi16(_mm256_setzero_si256(), dy);
        let apart = -least(_mm256_and_si256(ups, lanes)) as usize;
        Self { lanes, x, y, dx, dy, apart }
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
        // Samples an odd number of rows down take each sum from the row below, so that the first two
        // rows come out together, then the next two, and so on.
        let rows = TAPS + ROWS + self.apart / 2 * 2;
        let left = Window::new(reference, x + self.x[0], y + self.y, rows);
        let right = Window::new(reference, x + 8 + self.x[1], y + self.y, rows);
        let twice = _mm256_or_si256(self.dx, _mm256_slli_epi16(self.dx, 8));
        let pairs = [_mm256_add_epi8(tables.inner, twice), _mm256_add_epi8(tables.outer, twice)];
        let odd = _mm256_cmpgt_epi16(_mm256_setzero_si256(), _mm256_slli_epi16(self.dy, 15));
        let below = _mm256_or_si256(
            _mm256_srai_epi16(self.dy, 1),
            _mm256_xor_si256(self.lanes, _mm256_set1_epi16(-1)),
        );
        let across = |row: usize| {
            let samples = _mm256_set_m128i(right.load::<0>(row), left.load::<0>(row));
            across(samples, pairs, taps)
        };
        let put = |out: &mut __m128i, samples: __m128i, twos: usize| {
            let lanes = _mm256_cmpeq_epi16(below, _mm256_set1_epi16(twos as i16));
            let lanes = narrow(_mm256_packs_epi16(lanes, lanes));
            *out = _mm_blendv_epi8(*out, samples, lanes);
        };
        let mut last = across(0);
        let mut sum = |row: usize| {
            let next = across(row + 1);
            let sum = _mm256_blendv_epi8(last, next, odd);
            last = next;
            sum
        };
        let [mut a, mut b] = [sum(0), sum(1)];
        if ROWS == 1 {
            for twos in 0..=self.apart / 2 {
                let (c, d) = (sum(2 * twos + 2), sum(2 * twos + 3));
                put(&mut out[0], down([a, b, c, d], taps), twos);
                (a, b) = (c, d);
            }
            return;
        }
        let mut c = sum(2);
        for row in 0..rows - TAPS {
            let d = sum(row + TAPS - 1);
            let samples = down([a, b, c, d], taps);
            (a, b, c) = (b, c, d);
            for (j, out) in out.iter_mut().enumerate() {
                if row >= j && (row - j).is_multiple_of(2) {
                    put(out, samples, (row - j) / 2);
                }
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
fn least(words: __m256i) -> i32 {
    let [upper, lower] = both(words);
    least_of_half(_mm_min_epi16(upper, lower))
}

#[target_feature(enable = "avx2")]
#[inline]
fn least_of_half(words: __m128i) -> i32 {
    let flip = _mm_set1_epi16(i16::MIN);
    let least = _mm_minpos_epu16(_mm_xor_si128(words, flip));
    i32::from(_mm_extract_epi16(least, 0) as u16 as i16 ^ i16::MIN)
}
