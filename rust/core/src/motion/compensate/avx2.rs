//! An 8-bit prediction, 16 samples at a time.
//!
//! Between vectors that are all the same so are the displacements: `flat`. Elsewhere each sample
//! has its own. Those of a group that are at the same whole position from theirs, or nearly, are
//! computed together, from contiguous rows of the reference; their fractions look up the taps. The
//! twin is `predict_row` of the module above.

mod flat;
mod spread;

use std::arch::x86_64::*;

use super::super::Vector;
use super::super::geometry::{Area, Displacements, Lattice};
use super::super::kernel::{COEFFICIENTS, KERNEL_BITS};
use super::super::plane::Padded;
use super::parts::predict_parts;
use super::{BORDER, HELD, SIDE, TAPS};
use spread::Spread;

/// Samples computed at a time.
pub(super) const GROUP: usize = 16;
/// Displacements computed at a time.
const LANES: usize = 8;
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
    held: usize,
    out: &mut [u8],
) {
    let (tables, stride) = (Tables::new(), area.width());
    predict_parts(
        lattice,
        vectors,
        area,
        held,
        out,
        |row, y, block, out, room| {
            row.fill(lattice, vectors, y, &block.columns, |out, count, line, shift| {
                fill_line(out, count, line, shift);
            });
            let sizes = [stride, room];
            match block.height() {
                1 => predict_block::<1>(reference, &tables, row, block, out, sizes),
                2 => predict_block::<2>(reference, &tables, row, block, out, sizes),
                3 => predict_block::<3>(reference, &tables, row, block, out, sizes),
                _ => predict_block::<HELD>(reference, &tables, row, block, out, sizes),
            }
        },
        |displacement, block, out| {
            flat::predict(reference, &tables, displacement, block, out, stride);
        },
    );
}

/// `ROWS` rows of one line of displacements. `out` begins with the block, its rows are `stride`
/// apart; up to `room` samples of each may be overwritten.
#[target_feature(enable = "avx2")]
#[inline]
fn predict_block<const ROWS: usize>(
    reference: &Padded<u8>,
    tables: &Tables,
    row: &mut Displacements,
    block: &Area,
    out: &mut [u8],
    [stride, room]: [usize; 2],
) {
    let width = block.width();
    let groups = width.div_ceil(GROUP);
    // The last group goes beyond the block: its last displacement does as well as any.
    row.repeat(width..groups * GROUP);
    let (dx, dy) = (row.dx.as_chunks::<GROUP>().0, row.dy.as_chunks::<GROUP>().0);
    for index in 0..groups {
        let k = index * GROUP;
        let here = [(block.columns.start + k) as i32, block.rows.start as i32];
        let group = predict_group::<ROWS>(reference, tables, here, &dx[index], &dy[index]);
        for (j, samples) in group.iter().enumerate() {
            let out = &mut out[j * stride + k..][..GROUP.min(room - k)];
            match out.first_chunk_mut::<GROUP>() {
                Some(out) => *out = bytes(*samples),
                None => out.copy_from_slice(&bytes(*samples)[..out.len()]),
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

/// Rows of a group, below each other, all with the displacements of the first.
#[target_feature(enable = "avx2")]
#[inline]
fn predict_group<const ROWS: usize>(
    reference: &Padded<u8>,
    tables: &Tables,
    [x, y]: [i32; 2],
    dx: &[i32; GROUP],
    dy: &[i32; GROUP],
) -> [__m128i; ROWS] {
    let mut out = [_mm_setzero_si128(); ROWS];
    let at_x = |k: usize| dx[k] >> 4;
    let at_y = |k: usize| dy[k] >> 4;
    let (first_x, first_y) = (at_x(0), at_y(0));
    let half = GROUP / 2;
    let (left, right) = ([first_x, at_x(half - 1)], [at_x(half), at_x(GROUP - 1)]);
    let last_y = at_y(GROUP - 1);
    let (dx, dy) = (pack(dx), pack(dy));
    let taps = Taps::new(tables, dx, dy);
    let (whole_x, whole_y) = (_mm256_srai_epi16(dx, 4), _mm256_srai_epi16(dy, 4));
    let differences = _mm256_or_si256(
        _mm256_xor_si256(whole_x, _mm256_set1_epi16(first_x as i16)),
        _mm256_xor_si256(whole_y, _mm256_set1_epi16(first_y as i16)),
    );
    if _mm256_testz_si256(differences, differences) == 1 {
        let rows = TAPS - 1 + ROWS;
        let window = Window::new(reference, x + first_x, y + first_y, rows);
        let pairs = [tables.inner, tables.outer];
        let mut a = across(window.halves(0), pairs, &taps);
        let mut b = across(window.halves(1), pairs, &taps);
        let mut c = across(window.halves(2), pairs, &taps);
        for (k, out) in out.iter_mut().enumerate() {
            let d = across(window.halves(k + TAPS - 1), pairs, &taps);
            *out = down([a, b, c, d], &taps);
            (a, b, c) = (b, c, d);
        }
        return out;
    }
    // Further outside all samples are the same; rows may follow.
    let (top, bottom) = (1 - BORDER as i32 - y, reference.height() as i32 - y);
    let (top, bottom) = (top.max(i16::MIN.into()) as i16, bottom.min(i16::MAX.into()) as i16);
    let whole_y = _mm256_max_epi16(whole_y, _mm256_set1_epi16(top));
    let whole_y = _mm256_min_epi16(whole_y, _mm256_set1_epi16(bottom));
    let outermost = [first_y, last_y].map(|at| at.clamp(top.into(), bottom.into()));
    if let Some(all) = Spread::of_all(whole_x, whole_y, [left, right, outermost]) {
        all.interpolate(reference, tables, [x, y], &taps, &mut out);
        return out;
    }
    let mut left = _mm256_set1_epi16(-1);
    loop {
        let spread = Spread::new(whole_x, whole_y, left);
        spread.interpolate(reference, tables, [x, y], &taps, &mut out);
        left = _mm256_andnot_si256(spread.lanes, left);
        if _mm256_testz_si256(left, left) == 1 {
            return out;
        }
    }
}

/// So many samples of some rows from somewhere on.
struct Window<'a> {
    samples: &'a [u8],
    stride: usize,
    rows: usize,
}

impl<'a> Window<'a> {
    /// Under the taps of samples from this whole position on. Where it would lie too far outside,
    /// all that a group reads is the same sample, as it is at these bounds.
    #[inline(always)]
    fn new(reference: &'a Padded<u8>, x: i32, y: i32, rows: usize) -> Self {
        let (width, height) = (reference.width() as i32, reference.height() as i32);
        let left = (x - 1).clamp(-(SIDE as i32), width - 1);
        let top = (y - 1).clamp(-(BORDER as i32), height - 1);
        let (samples, stride) = reference.block(left, top);
        assert!(rows > 0 && samples.len() >= (rows - 1) * stride + READ, "within the border");
        Self { samples, stride, rows }
    }

    /// The samples of a row from the one `AT` on.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn load<const AT: usize>(&self, row: usize) -> __m128i {
        const { assert!(AT + 16 <= READ) };
        assert!(row < self.rows);
        // SAFETY: `new` has seen that each of the rows has READ samples from there on.
        unsafe { _mm_loadu_si128(self.samples.as_ptr().add(row * self.stride + AT).cast()) }
    }

    /// What the halves of a group see of a row.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn halves(&self, row: usize) -> __m256i {
        _mm256_set_m128i(self.load::<8>(row), self.load::<0>(row))
    }
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

/// The weighted sums of a row, less 128 · 128: of samples less 128, so that they are at most
/// 128 · 176 < 2^15 in size. Of the samples of each half, `inner` and `outer` choose pairs.
#[target_feature(enable = "avx2")]
#[inline]
fn across(samples: __m256i, [inner, outer]: [__m256i; 2], taps: &Taps) -> __m256i {
    let samples = _mm256_xor_si256(samples, _mm256_set1_epi8(i8::MIN));
    _mm256_sub_epi16(
        _mm256_maddubs_epi16(taps.inner, _mm256_shuffle_epi8(samples, inner)),
        _mm256_maddubs_epi16(taps.outer, _mm256_shuffle_epi8(samples, outer)),
    )
}

/// The predicted samples from the sums of four rows.
#[target_feature(enable = "avx2")]
#[inline]
fn down([a, b, c, d]: [__m256i; TAPS], taps: &Taps) -> __m128i {
    let down = &taps.down;
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
fn twice(table: [i8; 16]) -> __m256i {
    // SAFETY: the array is of 16 bytes.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
}

#[inline(always)]
fn bytes(lanes: __m128i) -> [u8; 16] {
    // SAFETY: any bits are bytes.
    unsafe { std::mem::transmute(lanes) }
}
