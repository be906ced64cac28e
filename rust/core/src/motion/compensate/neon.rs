//! An 8-bit prediction, 8 samples at a time.
//!
//! As with AVX2, which takes two such groups together. The twin is `predict_row` of the module above.

mod flat;
mod spread;

use std::arch::aarch64::*;

use super::super::Vector;
use super::super::geometry::{Area, Displacements, Lattice, line};
use super::super::kernel::{COEFFICIENTS, KERNEL_BITS};
use super::super::plane::Padded;
use super::parts::predict_parts;
use super::{BORDER, HELD, SIDE, TAPS};
use spread::Spread;

/// Samples computed at a time.
const GROUP: usize = 8;
/// Samples of a row that a group reads.
const READ: usize = 16;

/// Magnitudes of one tap at each phase. The outer taps are never positive, the inner never
/// negative, so the sign goes with the tap.
const fn magnitudes(tap: usize) -> [u8; 16] {
    let mut out = [0; 16];
    let mut phase = 0;
    while phase < 16 {
        out[phase] = COEFFICIENTS[phase][tap].unsigned_abs() as u8;
        phase += 1;
    }
    out
}

const MAGNITUDES: [[u8; 16]; TAPS] = [magnitudes(0), magnitudes(1), magnitudes(2), magnitudes(3)];

/// An area of the prediction, into `out` row by row.
#[target_feature(enable = "neon")]
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
            // The compiler finds vectors for lines by itself.
            row.fill(lattice, vectors, y, &block.columns, line);
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
#[target_feature(enable = "neon")]
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
        for (j, samples) in group.into_iter().enumerate() {
            put(samples, &mut out[j * stride + k..][..GROUP.min(room - k)]);
        }
    }
}

/// As many of the samples as there is room for.
#[target_feature(enable = "neon")]
#[inline]
fn put(samples: uint8x8_t, out: &mut [u8]) {
    // SAFETY: any bits are bytes.
    let samples: [u8; GROUP] = unsafe { std::mem::transmute(samples) };
    match out.first_chunk_mut() {
        Some(out) => *out = samples,
        None => out.copy_from_slice(&samples[..out.len()]),
    }
}

struct Tables {
    magnitudes: [uint8x16_t; TAPS],
    /// From 16 samples, those under each tap of 8 results.
    places: [uint8x8_t; TAPS],
}

impl Tables {
    #[target_feature(enable = "neon")]
    fn new() -> Self {
        let counting = vcreate_u8(0x0706_0504_0302_0100);
        // SAFETY: the arrays are of 16 bytes.
        let magnitudes = MAGNITUDES.map(|table| unsafe { vld1q_u8(table.as_ptr()) });
        let places = [0, 1, 2, 3].map(|tap| vadd_u8(counting, vdup_n_u8(tap)));
        Self { magnitudes, places }
    }
}

/// Rows of a group, below each other, all with the displacements of the first.
#[target_feature(enable = "neon")]
#[inline]
fn predict_group<const ROWS: usize>(
    reference: &Padded<u8>,
    tables: &Tables,
    [x, y]: [i32; 2],
    dx: &[i32; GROUP],
    dy: &[i32; GROUP],
) -> [uint8x8_t; ROWS] {
    let mut out = [vdup_n_u8(0); ROWS];
    let [first_x, last_x] = [dx[0] >> 4, dx[GROUP - 1] >> 4];
    let [first_y, last_y] = [dy[0] >> 4, dy[GROUP - 1] >> 4];
    let (dx, dy) = (pack(dx), pack(dy));
    let taps = Taps::new(tables, dx, dy);
    let (whole_x, whole_y) = (vshrq_n_s16::<4>(dx), vshrq_n_s16::<4>(dy));
    let differences = vorrq_s16(
        veorq_s16(whole_x, vdupq_n_s16(first_x as i16)),
        veorq_s16(whole_y, vdupq_n_s16(first_y as i16)),
    );
    if vmaxvq_u16(vreinterpretq_u16_s16(differences)) == 0 {
        let window = Window::new(reference, x + first_x, y + first_y, TAPS - 1 + ROWS);
        let places = &tables.places;
        let mut a = across(window.load(0), places, &taps);
        let mut b = across(window.load(1), places, &taps);
        let mut c = across(window.load(2), places, &taps);
        for (k, out) in out.iter_mut().enumerate() {
            let d = across(window.load(k + TAPS - 1), places, &taps);
            *out = down([a, b, c, d], &taps);
            (a, b, c) = (b, c, d);
        }
        return out;
    }
    // Further outside all samples are the same; rows may follow.
    let (top, bottom) = (1 - BORDER as i32 - y, reference.height() as i32 - y);
    let (top, bottom) = (top.max(i16::MIN.into()) as i16, bottom.min(i16::MAX.into()) as i16);
    let whole_y = vmaxq_s16(whole_y, vdupq_n_s16(top));
    let whole_y = vminq_s16(whole_y, vdupq_n_s16(bottom));
    let ends = [[first_x, last_x], [first_y, last_y].map(|at| at.clamp(top.into(), bottom.into()))];
    if let Some(all) = Spread::of_all(whole_x, whole_y, ends) {
        all.interpolate(reference, tables, [x, y], &taps, &mut out);
        return out;
    }
    let mut left = vdupq_n_u16(u16::MAX);
    loop {
        let spread = Spread::new(whole_x, whole_y, left);
        spread.interpolate(reference, tables, [x, y], &taps, &mut out);
        left = vbicq_u16(left, spread.lanes);
        if vmaxvq_u16(left) == 0 {
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

    /// The samples of a row.
    #[target_feature(enable = "neon")]
    #[inline]
    fn load(&self, row: usize) -> uint8x16_t {
        assert!(row < self.rows);
        // SAFETY: `new` has seen that each of the rows has READ samples.
        unsafe { vld1q_u8(self.samples.as_ptr().add(row * self.stride)) }
    }
}

/// What the samples of a group weigh in its sums, without signs.
struct Taps {
    across: [uint8x8_t; TAPS],
    down: [int16x8_t; TAPS],
}

impl Taps {
    #[target_feature(enable = "neon")]
    #[inline]
    fn new(tables: &Tables, dx: int16x8_t, dy: int16x8_t) -> Self {
        let phases = |d| vand_u8(vmovn_u16(vreinterpretq_u16_s16(d)), vdup_n_u8(15));
        let (x, y) = (phases(dx), phases(dy));
        let across = tables.magnitudes.map(|table| vqtbl1_u8(table, x));
        let down =
            tables.magnitudes.map(|table| vreinterpretq_s16_u16(vmovl_u8(vqtbl1_u8(table, y))));
        Self { across, down }
    }
}

/// The weighted sums of a row, less 128 · 128, so that they are at most 128 · 176 < 2^15 in size;
/// `places` are those of the samples under each tap.
#[target_feature(enable = "neon")]
#[inline]
fn across(samples: uint8x16_t, places: &[uint8x8_t; TAPS], taps: &Taps) -> int16x8_t {
    let [a, b, c, d] = places.map(|places| vqtbl1_u8(samples, places));
    let [p, q, r, s] = taps.across;
    // Sums may wrap around on the way; the last fits, so it comes out right.
    let sum = vdupq_n_u16((128u16 * 128).wrapping_neg());
    let sum = vmlal_u8(vmlal_u8(sum, b, q), c, r);
    vreinterpretq_s16_u16(vmlsl_u8(vmlsl_u8(sum, a, p), d, s))
}

/// The predicted samples from the sums of four rows.
#[target_feature(enable = "neon")]
#[inline]
fn down([a, b, c, d]: [int16x8_t; TAPS], taps: &Taps) -> uint8x8_t {
    const BITS: i32 = 2 * KERNEL_BITS as i32;
    let [p, q, r, s] = taps.down;
    let constant = vdupq_n_s32(128 << BITS);
    let low = vmlal_s16(constant, vget_low_s16(b), vget_low_s16(q));
    let low = vmlal_s16(low, vget_low_s16(c), vget_low_s16(r));
    let low = vmlsl_s16(low, vget_low_s16(a), vget_low_s16(p));
    let low = vmlsl_s16(low, vget_low_s16(d), vget_low_s16(s));
    let high = vmlal_high_s16(vmlal_high_s16(constant, b, q), c, r);
    let high = vmlsl_high_s16(vmlsl_high_s16(high, a, p), d, s);
    // These round and saturate.
    let words = vqrshrun_high_n_s32::<BITS>(vqrshrun_n_s32::<BITS>(low), high);
    vqmovn_u16(words)
}

/// Displacements fit 16 bits.
#[target_feature(enable = "neon")]
#[inline]
fn pack(values: &[i32; GROUP]) -> int16x8_t {
    // SAFETY: the array is of 32 bytes.
    let low = unsafe { vld1q_s32(values.as_ptr()) };
    // SAFETY: as above.
    let high = unsafe { vld1q_s32(values.as_ptr().add(GROUP / 2)) };
    vmovn_high_s32(vmovn_s32(low), high)
}
