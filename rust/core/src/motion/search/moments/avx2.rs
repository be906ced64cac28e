//! As the module above, with AVX2.

use std::arch::x86_64::*;

use super::{Column, LANES, Layout, Moments, STRIP, Strip, sum_spans_with};
use crate::motion::geometry::{Lattice, Span};

#[target_feature(enable = "avx2")]
pub(super) fn sum_spans(
    layout: &Layout,
    weights: &[f32],
    columns: usize,
    lattice: &Lattice,
    v: &Span,
) -> Vec<Moments> {
    sum_spans_with(layout, weights, columns, lattice, v, |column, out| add_column(column, out))
}

#[target_feature(enable = "avx2")]
#[inline]
fn add_column(column: &Column, moments: &mut Moments) {
    let mut sums = Sums::new(&column.counts);
    for (strip, weights, b) in column.strips() {
        sums.add(sum_strip(&strip), weights, b);
    }
    sums.add_to(moments, &column.a);
}

#[target_feature(enable = "avx2")]
#[inline]
fn sum_strip(strip: &Strip) -> [__m256i; 5] {
    // Nearly always whole, which is faster if the compiler knows.
    match strip.rows {
        STRIP => sum_rows(strip, STRIP),
        rows => sum_rows(strip, rows),
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn sum_rows(strip: &Strip, rows: usize) -> [__m256i; 5] {
    let mut sums = [_mm256_setzero_si256(); 5];
    let [mut above, mut here] = [strip.prediction(0, 1), strip.prediction(1, 1)];
    for y in 0..rows {
        let [gx, gy, e] = strip.differences(y, &mut above, &mut here);
        for (sum, [a, b]) in sums.iter_mut().zip([[gx, gx], [gx, gy], [gy, gy], [gx, e], [gy, e]]) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(a, b));
        }
    }
    sums
}

impl Strip<'_> {
    /// Of row `y`: both differences of the prediction, and the error. `above` and `here` are the
    /// prediction there and become those of the next row.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn differences(
        &self,
        y: usize,
        above: &mut __m256i,
        here: &mut __m256i,
    ) -> [__m256i; 3] {
        let below = self.prediction(y + 2, 1);
        let gx = _mm256_sub_epi16(self.prediction(y + 1, 2), self.prediction(y + 1, 0));
        let gy = _mm256_sub_epi16(below, *above);
        let e = _mm256_sub_epi16(self.frame(y), *here);
        (*above, *here) = (*here, below);
        [gx, gy, e]
    }

    /// A group of samples of a row of the prediction, beginning with the one above the strip.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn prediction(&self, row: usize, x: usize) -> __m256i {
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

/// `LaneSums` in registers.
pub(super) struct Sums {
    counts: __m256,
    products: [[__m256; 3]; 3],
    errors: [[__m256; 2]; 2],
}

impl Sums {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn new(counts: &[f32; LANES]) -> Self {
        let zero = _mm256_setzero_ps();
        Self { counts: load(counts), products: [[zero; 3]; 3], errors: [[zero; 2]; 2] }
    }

    /// As `LaneSums::add`.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn add(&mut self, strip: [__m256i; 5], [left, right]: [f32; 2], b: f32) {
        let half = _mm256_set_m128(_mm_set1_ps(0.5 * right), _mm_set1_ps(0.5 * left));
        let half = _mm256_mul_ps(half, self.counts);
        let quarter = _mm256_mul_ps(_mm256_set1_ps(0.5), half);
        let b = _mm256_set1_ps(b);
        for (sums, strip) in self.products.iter_mut().zip(strip) {
            let product = _mm256_mul_ps(quarter, _mm256_cvtepi32_ps(strip));
            let times_b = _mm256_mul_ps(product, b);
            sums[0] = _mm256_add_ps(sums[0], product);
            sums[1] = _mm256_add_ps(sums[1], times_b);
            sums[2] = _mm256_add_ps(sums[2], _mm256_mul_ps(times_b, b));
        }
        for (sums, &strip) in self.errors.iter_mut().zip(&strip[3..]) {
            let product = _mm256_mul_ps(half, _mm256_cvtepi32_ps(strip));
            sums[0] = _mm256_add_ps(sums[0], product);
            sums[1] = _mm256_add_ps(sums[1], _mm256_mul_ps(product, b));
        }
    }

    /// As `Moments::add`.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn add_to(&self, moments: &mut Moments, a: &[f32; LANES]) {
        let a = load(a);
        for (out, sums) in moments.products.iter_mut().zip(self.products) {
            let mut powers = [_mm256_setzero_ps(); 12];
            for (powers, lanes) in powers.as_chunks_mut::<3>().0.iter_mut().zip(sums) {
                let once = _mm256_mul_ps(lanes, a);
                *powers = [lanes, once, _mm256_mul_ps(once, a)];
            }
            add_totals(&powers, out.as_flattened_mut());
        }
        for (out, [one, two]) in moments.errors.iter_mut().zip(self.errors) {
            let powers = [one, _mm256_mul_ps(one, a), two, _mm256_mul_ps(two, a)];
            add_totals(&powers, out.as_flattened_mut());
        }
    }
}

/// Adds the total of each vector, as the function of that name in the module above.
#[target_feature(enable = "avx2")]
#[inline]
fn add_totals(vectors: &[__m256], out: &mut [f32]) {
    for (vectors, out) in vectors.as_chunks::<4>().0.iter().zip(out.chunks_mut(4)) {
        let [p, q, r, s] = [half(vectors[0]), half(vectors[1]), half(vectors[2]), half(vectors[3])];
        let left = _mm_add_ps(_mm_movelh_ps(p, q), _mm_movehl_ps(q, p));
        let right = _mm_add_ps(_mm_movelh_ps(r, s), _mm_movehl_ps(s, r));
        let totals = _mm_add_ps(
            _mm_shuffle_ps::<0b10_00_10_00>(left, right),
            _mm_shuffle_ps::<0b11_01_11_01>(left, right),
        );
        // SAFETY: any bits are numbers.
        let totals: [f32; 4] = unsafe { std::mem::transmute(totals) };
        out.iter_mut().zip(totals).for_each(|(out, total)| *out += total);
    }
}

/// The sums of lanes four apart.
#[target_feature(enable = "avx2")]
#[inline]
fn half(lanes: __m256) -> __m128 {
    _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes))
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(lanes: &[f32; LANES]) -> __m256 {
    // SAFETY: the array is of 32 bytes.
    unsafe { _mm256_loadu_ps(lanes.as_ptr()) }
}
