//! An 8-bit prediction, 16 samples at a time, one to each lane of 32 bits.
//!
//! The four samples of a row under the taps of each are picked from 64 contiguous ones, weighed and
//! summed up by one instruction each. The twin is `predict_row` of the module above.

mod flat;

use std::arch::x86_64::*;

use super::super::Vector;
use super::super::geometry::{Area, Displacements, Lattice};
use super::super::kernel::{COEFFICIENTS, KERNEL_BITS};
use super::super::plane::Padded;
use super::parts::predict_parts;
use super::{BORDER, HELD, READ, TAPS};

/// Samples computed at a time.
const GROUP: usize = 16;
/// How far before its first sample's own a group begins to read.
const MARGIN: i32 = 8;
/// Groups whose rows are further apart get each sample's rows for themselves.
const ROWS_APART: i32 = 3;
/// Repeated samples to the left that taps of positions clamped to two samples outside need.
const LEFT: i32 = 3;

/// Four taps as bytes. 128 is too large for one, but it only comes alone: as 127 and 1 of the
/// same sample.
const ACROSS: [i32; 16] = {
    let mut out = [0; 16];
    let mut phase = 0;
    while phase < 16 {
        let [a, b, c, d] = COEFFICIENTS[phase];
        let taps = if phase == 0 { [0, 127, 1, 0] } else { [a as i8, b as i8, c as i8, d as i8] };
        out[phase] =
            i32::from_le_bytes([taps[0] as u8, taps[1] as u8, taps[2] as u8, taps[3] as u8]);
        phase += 1;
    }
    out
};

/// Which samples those weigh, from the one to the left on.
const PLACES: [i32; 16] = {
    let mut out = [0x0302_0100; 16];
    out[0] = 0x0301_0100;
    out
};

/// Two taps from `FIRST` on as words.
const fn down_taps<const FIRST: usize>() -> [i32; 16] {
    let mut out = [0; 16];
    let mut phase = 0;
    while phase < 16 {
        let [low, high] = [COEFFICIENTS[phase][FIRST], COEFFICIENTS[phase][FIRST + 1]];
        out[phase] = low as u16 as i32 | (high as i32) << 16;
        phase += 1;
    }
    out
}

/// An area of the prediction, into `out` row by row.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
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
        |row, y, block, out, _| {
            row.fill(lattice, vectors, y, &block.columns, |out, count, line, shift| {
                fill_line(out, count, line, shift);
            });
            match block.height() {
                1 => predict_block::<1>(reference, &tables, row, block, out, stride),
                2 => predict_block::<2>(reference, &tables, row, block, out, stride),
                3 => predict_block::<3>(reference, &tables, row, block, out, stride),
                _ => predict_block::<HELD>(reference, &tables, row, block, out, stride),
            }
        },
        |displacement, block, out| {
            flat::predict(reference, &tables, displacement, block, out, stride);
        },
    );
}

struct Tables {
    across: __m512i,
    places: __m512i,
    down: [__m512i; 2],
    /// 0 to 15.
    counting: __m512i,
    /// The lowest byte of each lane in all of its bytes, and how many bytes lie before the lane.
    lowest: __m512i,
    before: __m512i,
}

impl Tables {
    #[target_feature(enable = "avx512f,avx512bw")]
    fn new() -> Self {
        const COUNTING: [i32; GROUP] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        // Shuffles count bytes within 16.
        let before = _mm512_set4_epi32(0x0c0c_0c0c, 0x0808_0808, 0x0404_0404, 0);
        Self {
            across: load(&ACROSS),
            places: load(&PLACES),
            down: [load(&down_taps::<0>()), load(&down_taps::<2>())],
            counting: load(&COUNTING),
            lowest: before,
            before,
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(lanes: &[i32; GROUP]) -> __m512i {
    // SAFETY: the array is of 64 bytes.
    unsafe { _mm512_loadu_epi32(lanes.as_ptr()) }
}

/// As `geometry::line`, in groups of lanes.
#[target_feature(enable = "avx512f")]
#[inline]
fn fill_line(out: &mut [i32], count: usize, [first, step]: [i32; 2], shift: u32) {
    let counting = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    let mut values = _mm512_add_epi32(
        _mm512_set1_epi32(first),
        _mm512_mullo_epi32(counting, _mm512_set1_epi32(step)),
    );
    let growth = _mm512_set1_epi32(step * GROUP as i32);
    let shift = _mm_cvtsi32_si128(shift as i32);
    for group in out[..count.next_multiple_of(GROUP)].as_chunks_mut::<GROUP>().0 {
        // SAFETY: the group is of 64 bytes.
        unsafe { _mm512_storeu_epi32(group.as_mut_ptr(), _mm512_sra_epi32(values, shift)) };
        values = _mm512_add_epi32(values, growth);
    }
}

/// `ROWS` rows of one line of displacements. `out` begins with the block, its rows are `stride`
/// apart.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn predict_block<const ROWS: usize>(
    reference: &Padded<u8>,
    tables: &Tables,
    row: &mut Displacements,
    block: &Area,
    out: &mut [u8],
    stride: usize,
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
        for (j, samples) in group.into_iter().enumerate() {
            put(samples, &mut out[j * stride + k..], width - k);
        }
    }
}

/// At most `count` samples.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
fn put(samples: __m128i, out: &mut [u8], count: usize) {
    let count = count.min(GROUP);
    let out = &mut out[..count];
    // SAFETY: only what is there is written.
    unsafe { _mm_mask_storeu_epi8(out.as_mut_ptr().cast(), u16::MAX >> (GROUP - count), samples) };
}

/// Rows of a group, below each other, all with the displacements of the first.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn predict_group<const ROWS: usize>(
    reference: &Padded<u8>,
    tables: &Tables,
    [x, y]: [i32; 2],
    dx: &[i32; GROUP],
    dy: &[i32; GROUP],
) -> [__m128i; ROWS] {
    // Further outside all samples are the same; rows may follow.
    let (right, bottom) = (reference.width() as i32, reference.height() as i32);
    let (left, top) = (1 - LEFT, 1 - BORDER as i32);
    let at_x = |k: usize| (x + k as i32 + (dx[k] >> 4)).clamp(left, right);
    let at_y = |k: usize| (y + (dy[k] >> 4)).clamp(top, bottom);
    let first_x = at_x(0) - MARGIN;
    let (first_y, last_y) = (at_y(0).min(at_y(GROUP - 1)), at_y(0).max(at_y(GROUP - 1)));

    let (dx, dy) = (load(dx), load(dy));
    let taps = Taps {
        across: _mm512_permutexvar_epi32(dx, tables.across),
        down: [
            _mm512_permutexvar_epi32(dy, tables.down[0]),
            _mm512_permutexvar_epi32(dy, tables.down[1]),
        ],
    };
    let places = _mm512_permutexvar_epi32(dx, tables.places);
    let xs = _mm512_add_epi32(
        _mm512_add_epi32(_mm512_set1_epi32(x), tables.counting),
        _mm512_srai_epi32::<4>(dx),
    );
    let xs = _mm512_max_epi32(xs, _mm512_set1_epi32(left));
    let xs = _mm512_min_epi32(xs, _mm512_set1_epi32(right));
    let ys = _mm512_add_epi32(_mm512_set1_epi32(y), _mm512_srai_epi32::<4>(dy));
    let ys = _mm512_max_epi32(ys, _mm512_set1_epi32(top));
    let ys = _mm512_min_epi32(ys, _mm512_set1_epi32(bottom));

    let from_x = _mm512_sub_epi32(xs, _mm512_set1_epi32(first_x));
    let from_y = _mm512_sub_epi32(ys, _mm512_set1_epi32(first_y));
    let apart = last_y - first_y;
    let near = _mm512_cmple_epu32_mask(from_x, _mm512_set1_epi32((READ - TAPS) as i32))
        & _mm512_cmple_epu32_mask(from_y, _mm512_set1_epi32(apart));
    if near != u16::MAX || apart > ROWS_APART {
        let place = Scattered { xs, ys, places };
        return place.predict(reference, tables, &taps);
    }
    let near = Near {
        window: Window::new(reference, first_x - 1, first_y - 1, TAPS - 1 + ROWS + apart as usize),
        places: _mm512_add_epi8(_mm512_shuffle_epi8(from_x, tables.lowest), places),
        rows: from_y,
    };
    match apart {
        0 => near.predict::<ROWS, 0>(&taps),
        1 => near.predict::<ROWS, 1>(&taps),
        2 => near.predict::<ROWS, 2>(&taps),
        _ => near.predict::<ROWS, { ROWS_APART as usize }>(&taps),
    }
}

/// What the samples of a group weigh in its sums: bytes, and pairs of words.
struct Taps {
    across: __m512i,
    down: [__m512i; 2],
}

impl Taps {
    /// The weighted sums of a row, less 128 · 128, so that they fit 16 bits.
    #[target_feature(enable = "avx512f,avx512vnni")]
    #[inline]
    fn across(&self, samples: __m512i) -> __m512i {
        _mm512_dpbusd_epi32(_mm512_set1_epi32(-128 * 128), samples, self.across)
    }

    /// The predicted samples, less 128, from pairs of the sums of four rows.
    #[target_feature(enable = "avx512f,avx512vnni")]
    #[inline]
    fn down(&self, upper: __m512i, lower: __m512i) -> __m512i {
        const BITS: u32 = 2 * KERNEL_BITS;
        let sum = _mm512_set1_epi32(1 << (BITS - 1));
        let sum = _mm512_dpwssd_epi32(sum, upper, self.down[0]);
        let sum = _mm512_dpwssd_epi32(sum, lower, self.down[1]);
        _mm512_srai_epi32::<BITS>(sum)
    }
}

/// Two sums to each lane.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn pair(upper: __m512i, lower: __m512i) -> __m512i {
    _mm512_mask_blend_epi16(0xaaaa_aaaa, upper, _mm512_slli_epi32::<16>(lower))
}

/// Samples, of which 128 were taken.
#[target_feature(enable = "avx512f")]
#[inline]
fn samples(lanes: __m512i) -> __m128i {
    _mm_xor_si128(_mm512_cvtsepi32_epi8(lanes), _mm_set1_epi8(i8::MIN))
}

/// So many samples of some rows from somewhere on.
struct Window<'a> {
    samples: &'a [u8],
    stride: usize,
    rows: usize,
}

impl<'a> Window<'a> {
    #[inline(always)]
    fn new(reference: &'a Padded<u8>, x: i32, y: i32, rows: usize) -> Self {
        let (samples, stride) = reference.block(x, y);
        assert!(rows > 0 && samples.len() >= (rows - 1) * stride + READ, "within the border");
        Self { samples, stride, rows }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn load(&self, row: usize) -> __m512i {
        assert!(row < self.rows);
        // SAFETY: `new` has seen that each of the rows has READ samples.
        unsafe { _mm512_loadu_epi8(self.samples.as_ptr().add(row * self.stride).cast()) }
    }
}

/// A group whose samples are all from one window.
struct Near<'a> {
    window: Window<'a>,
    /// Where in the window's rows the samples under the taps are.
    places: __m512i,
    /// By how many rows each sample's own are further down.
    rows: __m512i,
}

impl Near<'_> {
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
    #[inline]
    fn predict<const ROWS: usize, const APART: usize>(&self, taps: &Taps) -> [__m128i; ROWS] {
        let mut out = [_mm512_setzero_si512(); ROWS];
        let mut last = self.across(0, taps);
        // Of each two rows, one below the other.
        let mut pairs = [_mm512_setzero_si512(); 3];
        for row in 1..TAPS - 1 + ROWS + APART {
            let next = self.across(row, taps);
            pairs = [pairs[1], pairs[2], pair(last, next)];
            last = next;
            if row < TAPS - 1 {
                continue;
            }
            let samples = taps.down(pairs[0], pairs[2]);
            for (k, out) in out.iter_mut().enumerate() {
                // How far down the samples are that see these rows here.
                let Some(further) = (row + 1 - TAPS).checked_sub(k) else { continue };
                if APART == 0 && further == 0 {
                    *out = samples;
                } else if further <= APART {
                    let lanes =
                        _mm512_cmpeq_epi32_mask(self.rows, _mm512_set1_epi32(further as i32));
                    *out = _mm512_mask_mov_epi32(*out, lanes, samples);
                }
            }
        }
        let mut bytes = [_mm_setzero_si128(); ROWS];
        for (bytes, out) in bytes.iter_mut().zip(out) {
            *bytes = samples(out);
        }
        bytes
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
    #[inline]
    fn across(&self, row: usize, taps: &Taps) -> __m512i {
        taps.across(_mm512_permutexvar_epi8(self.places, self.window.load(row)))
    }
}

/// A group whose samples are from anywhere.
struct Scattered {
    xs: __m512i,
    ys: __m512i,
    /// Which samples the taps weigh, from the one to the left on.
    places: __m512i,
}

impl Scattered {
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn predict<const ROWS: usize>(
        &self,
        reference: &Padded<u8>,
        tables: &Tables,
        taps: &Taps,
    ) -> [__m128i; ROWS] {
        let (top, bottom) = (_mm512_reduce_min_epi32(self.ys), _mm512_reduce_max_epi32(self.ys));
        // Displacements differ by 1023 samples at most, so the offsets fit.
        let (all, stride) = reference.block(-LEFT, top - 1);
        let rows = (bottom - top) as usize + TAPS - 1 + ROWS;
        let widest = reference.width() + LEFT as usize + TAPS - 1;
        assert!(all.len() >= (rows - 1) * stride + widest, "within the border");
        let down = _mm512_sub_epi32(self.ys, _mm512_set1_epi32(top));
        let offsets = _mm512_add_epi32(
            _mm512_mullo_epi32(down, _mm512_set1_epi32(stride as i32)),
            _mm512_add_epi32(self.xs, _mm512_set1_epi32(LEFT - 1)),
        );
        let places = _mm512_add_epi8(tables.before, self.places);
        let mut out = [_mm_setzero_si128(); ROWS];
        let mut last = _mm512_setzero_si512();
        let mut pairs = [_mm512_setzero_si512(); 3];
        for row in 0..TAPS - 1 + ROWS {
            // SAFETY: each lane's four bytes lie in the first `widest` of one of the rows: `xs` is
            // at most the width.
            let found = unsafe {
                _mm512_i32gather_epi32::<1>(offsets, all.as_ptr().add(row * stride).cast())
            };
            let next = taps.across(_mm512_shuffle_epi8(found, places));
            pairs = [pairs[1], pairs[2], pair(last, next)];
            last = next;
            if let Some(k) = row.checked_sub(TAPS - 1) {
                out[k] = samples(taps.down(pairs[0], pairs[2]));
            }
        }
        out
    }
}
