//! Rows of an 8-bit prediction, 16 samples at a time, each with its own displacement.
//!
//! Samples of a group that lie at the same whole position from theirs are computed together, from
//! contiguous rows of the reference; only their fractions differ, which look up the taps. The twin
//! is `predict_row` of the module above.

use std::arch::x86_64::*;

use super::super::Vector;
use super::super::geometry::{Area, Displacements, LANES, Lattice};
use super::super::kernel::{COEFFICIENTS, KERNEL_BITS};
use super::super::plane::Padded;
use super::{BORDER, SIDE, TAPS};

/// Samples computed at a time.
pub(super) const GROUP: usize = 16;
/// Samples of a row that a group reads.
const READ: usize = GROUP + 8;

/// Magnitudes of one tap at each phase. The outer taps are never positive, the inner never
/// negative, so the sign goes with the tap.
const fn magnitudes(tap: usize) -> [i8; 16] {
    let mut out = [0; 16];
    let mut phase = 0;
    while phase < 16 {
        // 128 wraps around: the instructions that read these take them as unsigned.
        out[phase] = COEFFICIENTS[phase][tap].unsigned_abs() as i8;
        phase += 1;
    }
    out
}

const MAGNITUDES: [[i8; 16]; TAPS] = [magnitudes(0), magnitudes(1), magnitudes(2), magnitudes(3)];
/// From 16 samples, for each of 8 results, those under the inner and the outer taps.
const INNER: [i8; 16] = [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9];
const OUTER: [i8; 16] = [0, 3, 1, 4, 2, 5, 3, 6, 4, 7, 5, 8, 6, 9, 7, 10];

/// An area of the prediction, into `out` row by row.
#[target_feature(enable = "avx2")]
pub(super) fn predict_area(
    reference: &Padded<u8>,
    lattice: &Lattice,
    vectors: &[Vector],
    area: &Area,
    out: &mut [u8],
) {
    let width = area.width();
    let groups = width.div_ceil(GROUP);
    let mut row = Displacements::new(lattice, groups * GROUP);
    let tables = Tables::new();
    for (y, out) in area.rows.clone().zip(out.chunks_exact_mut(width)) {
        row.fill(lattice, vectors, y, &area.columns, |out, count, line, shift| {
            fill_line(out, count, line, shift);
        });
        // The last group goes beyond the row: its last displacement does as well as any.
        row.repeat_from(width);
        let displacements = row.dx.as_chunks::<GROUP>().0.iter().zip(row.dy.as_chunks::<GROUP>().0);
        for (index, (dx, dy)) in displacements.enumerate() {
            let k = index * GROUP;
            let here = [(area.columns.start + k) as i32, y as i32];
            let samples = predict_group(reference, &tables, here, dx, dy);
            match out[k..].first_chunk_mut::<GROUP>() {
                Some(out) => *out = bytes(samples),
                None => out[k..].copy_from_slice(&bytes(samples)[..width - k]),
            }
        }
    }
}

/// As `geometry::line`, in groups of lanes.
#[target_feature(enable = "avx2")]
#[inline]
fn fill_line(out: &mut [i32], count: usize, [first, step]: [i32; 2], shift: u32) {
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    let mut values = _mm256_add_epi32(
        _mm256_set1_epi32(first),
        _mm256_mullo_epi32(lanes, _mm256_set1_epi32(step)),
    );
    let growth = _mm256_set1_epi32(step * LANES as i32);
    let shift = _mm_cvtsi32_si128(shift as i32);
    let out = &mut out[..count.next_multiple_of(LANES)];
    for group in out.as_chunks_mut::<LANES>().0 {
        // SAFETY: the group is of 32 bytes.
        unsafe { _mm256_storeu_si256(group.as_mut_ptr().cast(), _mm256_sra_epi32(values, shift)) };
        values = _mm256_add_epi32(values, growth);
    }
}

struct Tables {
    magnitudes: [__m256i; TAPS],
    inner: __m256i,
    outer: __m256i,
}

impl Tables {
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        // Closures would not be compiled into their callers here.
        let [a, b, c, d] = MAGNITUDES;
        Self {
            magnitudes: [twice(a), twice(b), twice(c), twice(d)],
            inner: twice(INNER),
            outer: twice(OUTER),
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn predict_group(
    reference: &Padded<u8>,
    tables: &Tables,
    [x, y]: [i32; 2],
    dx: &[i32; GROUP],
    dy: &[i32; GROUP],
) -> __m128i {
    let (dx, first_x) = (pack(dx), dx[0]);
    let (dy, first_y) = (pack(dy), dy[0]);
    let taps = Taps::new(tables, dx, dy);
    let (whole_x, whole_y) = (_mm256_srai_epi16(dx, 4), _mm256_srai_epi16(dy, 4));
    let differences = _mm256_or_si256(
        _mm256_xor_si256(whole_x, _mm256_set1_epi16((first_x >> 4) as i16)),
        _mm256_xor_si256(whole_y, _mm256_set1_epi16((first_y >> 4) as i16)),
    );
    if _mm256_testz_si256(differences, differences) == 1 {
        let rows = rows(reference, x + (first_x >> 4), y + (first_y >> 4));
        return interpolate(rows, tables, &taps);
    }
    let mut out = _mm_setzero_si128();
    let mut left = u32::MAX >> (32 - GROUP);
    let (mut here_x, mut here_y) = (first_x >> 4, first_y >> 4);
    loop {
        let rows = rows(reference, x + here_x, y + here_y);
        let same = _mm256_and_si256(
            _mm256_cmpeq_epi16(whole_x, _mm256_set1_epi16(here_x as i16)),
            _mm256_cmpeq_epi16(whole_y, _mm256_set1_epi16(here_y as i16)),
        );
        let same = narrow(_mm256_packs_epi16(same, same));
        out = _mm_blendv_epi8(out, interpolate(rows, tables, &taps), same);
        left &= !(_mm_movemask_epi8(same) as u32);
        if left == 0 {
            return out;
        }
        let lane = left.trailing_zeros() as usize;
        let lanes: [i16; GROUP] = words(whole_x);
        here_x = i32::from(lanes[lane]);
        let lanes: [i16; GROUP] = words(whole_y);
        here_y = i32::from(lanes[lane]);
    }
}

/// The rows under the taps of a group whose first sample is at this whole position. Where it would
/// lie too far outside, all that it reads is the same sample, as it is at these bounds.
#[inline(always)]
fn rows(reference: &Padded<u8>, x: i32, y: i32) -> [&[u8; READ]; TAPS] {
    let (width, height) = (reference.width() as i32, reference.height() as i32);
    let left = (x - 1).clamp(-(SIDE as i32), width - 1);
    let top = (y - 1).clamp(-(BORDER as i32), height - 1);
    let row = |k| reference.from(left, top + k).first_chunk().expect("within the border");
    [row(0), row(1), row(2), row(3)]
}

/// What the samples of a group weigh in its sums.
struct Taps {
    inner: __m256i,
    outer: __m256i,
    /// Of the rows: inner and outer pairs, of the first and second half of each half.
    down: [__m256i; 4],
}

impl Taps {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(tables: &Tables, dx: __m256i, dy: __m256i) -> Self {
        let fraction = _mm256_set1_epi16(15);
        let (x, y) = (_mm256_and_si256(dx, fraction), _mm256_and_si256(dy, fraction));
        // Bytes with their upper bit set look up zero.
        let none = _mm256_set1_epi16(i16::MIN);
        let even = _mm256_or_si256(x, none);
        let odd = _mm256_or_si256(_mm256_slli_epi16(x, 8), _mm256_srli_epi16(none, 8));
        let t = &tables.magnitudes;
        let inner =
            _mm256_or_si256(_mm256_shuffle_epi8(t[1], even), _mm256_shuffle_epi8(t[2], odd));
        let outer =
            _mm256_or_si256(_mm256_shuffle_epi8(t[0], even), _mm256_shuffle_epi8(t[3], odd));
        let rows = _mm256_or_si256(y, none);
        let (p, q) = (_mm256_shuffle_epi8(t[0], rows), _mm256_shuffle_epi8(t[1], rows));
        let (r, s) = (_mm256_shuffle_epi8(t[2], rows), _mm256_shuffle_epi8(t[3], rows));
        let down = [
            _mm256_unpacklo_epi16(q, r),
            _mm256_unpacklo_epi16(p, s),
            _mm256_unpackhi_epi16(q, r),
            _mm256_unpackhi_epi16(p, s),
        ];
        Self { inner, outer, down }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn interpolate(rows: [&[u8; READ]; TAPS], tables: &Tables, taps: &Taps) -> __m128i {
    let (inner, outer, down) = (taps.inner, taps.outer, &taps.down);
    let a = across(rows[0], tables, inner, outer);
    let b = across(rows[1], tables, inner, outer);
    let c = across(rows[2], tables, inner, outer);
    let d = across(rows[3], tables, inner, outer);
    let low = _mm256_sub_epi32(
        _mm256_madd_epi16(_mm256_unpacklo_epi16(b, c), down[0]),
        _mm256_madd_epi16(_mm256_unpacklo_epi16(a, d), down[1]),
    );
    let high = _mm256_sub_epi32(
        _mm256_madd_epi16(_mm256_unpackhi_epi16(b, c), down[2]),
        _mm256_madd_epi16(_mm256_unpackhi_epi16(a, d), down[3]),
    );
    const BITS: i32 = KERNEL_BITS as i32;
    let constant = _mm256_set1_epi32((128 << (2 * BITS)) + (1 << (2 * BITS - 1)));
    let low = _mm256_srai_epi32(_mm256_add_epi32(low, constant), 2 * BITS);
    let high = _mm256_srai_epi32(_mm256_add_epi32(high, constant), 2 * BITS);
    let words = _mm256_packs_epi32(low, high);
    narrow(_mm256_packus_epi16(words, words))
}

/// The weighted sums of a row, less 128 · 128: of samples less 128, so that they are at most
/// 128 · 176 < 2^15 in size.
#[target_feature(enable = "avx2")]
#[inline]
fn across(row: &[u8; READ], tables: &Tables, inner: __m256i, outer: __m256i) -> __m256i {
    let samples = _mm256_set_m128i(load::<8>(row), load::<0>(row));
    let samples = _mm256_xor_si256(samples, _mm256_set1_epi8(i8::MIN));
    _mm256_sub_epi16(
        _mm256_maddubs_epi16(inner, _mm256_shuffle_epi8(samples, tables.inner)),
        _mm256_maddubs_epi16(outer, _mm256_shuffle_epi8(samples, tables.outer)),
    )
}

/// The lower halves of the two halves.
#[target_feature(enable = "avx2")]
#[inline]
fn narrow(halves: __m256i) -> __m128i {
    _mm256_castsi256_si128(_mm256_permute4x64_epi64(halves, 0b1000))
}

/// Displacements fit 16 bits.
#[target_feature(enable = "avx2")]
#[inline]
fn pack(values: &[i32; GROUP]) -> __m256i {
    // SAFETY: the array is of 64 bytes.
    let low = unsafe { _mm256_loadu_si256(values.as_ptr().cast()) };
    // SAFETY: as above.
    let high = unsafe { _mm256_loadu_si256(values.as_ptr().add(8).cast()) };
    _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0b11_01_10_00)
}

#[target_feature(enable = "avx2")]
#[inline]
fn load<const AT: usize>(row: &[u8; READ]) -> __m128i {
    const { assert!(AT + 16 <= READ) };
    // SAFETY: 16 bytes from there on are in the row.
    unsafe { _mm_loadu_si128(row.as_ptr().add(AT).cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn twice(table: [i8; 16]) -> __m256i {
    // SAFETY: the array is of 16 bytes.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
}

#[inline(always)]
fn bytes(lanes: __m128i) -> [u8; 16] {
    // SAFETY: any bits are bytes.
    unsafe { std::mem::transmute(lanes) }
}

#[inline(always)]
fn words(lanes: __m256i) -> [i16; GROUP] {
    // SAFETY: any bits are words.
    unsafe { std::mem::transmute(lanes) }
}
