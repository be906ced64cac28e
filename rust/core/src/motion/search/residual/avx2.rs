//! As the module above, with AVX2.

use std::arch::x86_64::*;

use super::{Area, Cost, Padded, Residual, TILE, Terms, measure_with};

#[target_feature(enable = "avx2")]
pub(super) fn measure(
    prediction: &[u8],
    frame: &Padded<u8>,
    area: &Area,
    cost: Cost,
    out: &mut Residual,
) {
    measure_with(prediction, frame, area, cost, out, |terms| transform(terms));
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn transform(terms: &mut Terms) {
    let mut rows = [_mm256_setzero_si256(); TILE];
    for (row, terms) in rows.iter_mut().zip(terms.iter()) {
        // SAFETY: the array is of 32 bytes.
        *row = unsafe { _mm256_loadu_si256(terms.as_ptr().cast()) };
    }
    let rows = butterflies(transpose(butterflies(rows)));
    for (row, terms) in rows.into_iter().zip(terms) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(terms.as_mut_ptr().cast(), row) };
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn butterflies(mut rows: [__m256i; TILE]) -> [__m256i; TILE] {
    for stride in [1, 2, 4] {
        for k in 0..TILE {
            if k & stride == 0 {
                let (a, b) = (rows[k], rows[k + stride]);
                rows[k] = _mm256_add_epi16(a, b);
                rows[k + stride] = _mm256_sub_epi16(a, b);
            }
        }
    }
    rows
}

/// Of both halves.
#[target_feature(enable = "avx2")]
#[inline]
fn transpose([a, b, c, d, e, f, g, h]: [__m256i; TILE]) -> [__m256i; TILE] {
    let (ab, ab_high) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
    let (cd, cd_high) = (_mm256_unpacklo_epi16(c, d), _mm256_unpackhi_epi16(c, d));
    let (ef, ef_high) = (_mm256_unpacklo_epi16(e, f), _mm256_unpackhi_epi16(e, f));
    let (gh, gh_high) = (_mm256_unpacklo_epi16(g, h), _mm256_unpackhi_epi16(g, h));
    let abcd = [
        _mm256_unpacklo_epi32(ab, cd),
        _mm256_unpackhi_epi32(ab, cd),
        _mm256_unpacklo_epi32(ab_high, cd_high),
        _mm256_unpackhi_epi32(ab_high, cd_high),
    ];
    let efgh = [
        _mm256_unpacklo_epi32(ef, gh),
        _mm256_unpackhi_epi32(ef, gh),
        _mm256_unpacklo_epi32(ef_high, gh_high),
        _mm256_unpackhi_epi32(ef_high, gh_high),
    ];
    [
        _mm256_unpacklo_epi64(abcd[0], efgh[0]),
        _mm256_unpackhi_epi64(abcd[0], efgh[0]),
        _mm256_unpacklo_epi64(abcd[1], efgh[1]),
        _mm256_unpackhi_epi64(abcd[1], efgh[1]),
        _mm256_unpacklo_epi64(abcd[2], efgh[2]),
        _mm256_unpackhi_epi64(abcd[2], efgh[2]),
        _mm256_unpacklo_epi64(abcd[3], efgh[3]),
        _mm256_unpackhi_epi64(abcd[3], efgh[3]),
    ]
}
