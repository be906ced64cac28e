//! The prediction that a field makes. Normative: exact integers, the same on every machine.

use super::geometry::{Displacements, Kind};
use super::kernel::{COEFFICIENTS, KERNEL_BITS};
use super::plane::{Padded, Plane, Sample};
use super::{Field, Vector};
use crate::error::{Error, Result};

/// Samples with one displacement that are computed at a time.
const LONGEST_RUN: usize = 32;
/// Runs are rounded up to this many.
const LANES: usize = 8;
/// Samples of a row read beyond a run: three for the taps, rounded up.
const TAPS_READ: usize = 8;
/// Repeated edge samples that positions, clamped to one sample outside and its taps need.
const BORDER: usize = 3;

/// The prediction of each frame of `field` from `reference`, as planes of the reference's sizes.
///
/// Luma first, then two chroma planes of 4:2:0. Samples must fit `bit_depth`; those that do not
/// are taken as they are and the result is clamped.
pub fn compensate<S: Sample>(
    reference: [Plane<S>; 3],
    field: &Field,
    bit_depth: u32,
) -> Result<Vec<[Vec<S>; 3]>> {
    check_depth::<S>(bit_depth)?;
    let [luma, ..] = reference;
    let (width, height) = (luma.width(), luma.height());
    for plane in &reference[1..] {
        if (plane.width(), plane.height()) != (width.div_ceil(2), height.div_ceil(2)) {
            return Err(Error::invalid(format!(
                "chroma of {} x {} does not go with luma of {width} x {height}",
                plane.width(),
                plane.height()
            )));
        }
    }
    if field.step() == 0 {
        let copy = || reference.map(|plane| plane.samples().to_vec());
        return Ok((0..field.frames()).map(|_| copy()).collect());
    }
    check_grid(field, width, height)?;
    let padded = reference.each_ref().map(pad);
    let predict = |frame| {
        let plane = |index: usize, kind| {
            predict_plane(
                &padded[index],
                field.frame(frame),
                field.columns(),
                field.step(),
                kind,
                bit_depth,
            )
        };
        [plane(0, Kind::Luma), plane(1, Kind::Chroma), plane(2, Kind::Chroma)]
    };
    Ok((0..field.frames()).map(predict).collect())
}

pub(crate) fn check_depth<S: Sample>(bit_depth: u32) -> Result<()> {
    if !S::BIT_DEPTHS.contains(&bit_depth) {
        let (low, high) = S::BIT_DEPTHS.into_inner();
        return Err(Error::invalid(format!(
            "bit depth {bit_depth} does not go with these samples ({low} to {high} bits)"
        )));
    }
    Ok(())
}

fn check_grid(field: &Field, width: usize, height: usize) -> Result<()> {
    let expected = (height.div_ceil(field.step()), width.div_ceil(field.step()));
    if (field.rows(), field.columns()) != expected {
        return Err(Error::invalid(format!(
            "a motion field of {} x {} cells does not cover {width} x {height} samples at step {}",
            field.rows(),
            field.columns(),
            field.step()
        )));
    }
    Ok(())
}

/// The reference with the border that `predict_plane` needs.
pub(crate) fn pad<S: Sample>(plane: &Plane<S>) -> Padded<S> {
    Padded::new(plane, BORDER, BORDER + LONGEST_RUN + TAPS_READ)
}

/// One plane of the prediction of one frame.
pub(crate) fn predict_plane<S: Sample>(
    reference: &Padded<S>,
    vectors: &[Vector],
    columns: usize,
    step: usize,
    kind: Kind,
    bit_depth: u32,
) -> Vec<S> {
    let (width, height) = (reference.width(), reference.height());
    let mut out = vec![S::default(); width * height];
    let displacements = Displacements::new(vectors, columns, step, width, height, kind);
    let max = (1 << bit_depth) - 1;
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has been asked for AVX2.
        unsafe { fill_avx2(reference, displacements, max, &mut out) };
        return out;
    }
    fill(reference, displacements, max, &mut out);
    out
}

/// `fill`, compiled for wider registers.
///
/// # Safety
/// The processor must have AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn fill_avx2<S: Sample>(
    reference: &Padded<S>,
    displacements: Displacements,
    max: i32,
    out: &mut [S],
) {
    fill(reference, displacements, max, out);
}

#[inline(always)]
fn fill<S: Sample>(
    reference: &Padded<S>,
    mut displacements: Displacements,
    max: i32,
    out: &mut [S],
) {
    let width = reference.width();
    let (mut dx, mut dy) = (vec![0; width], vec![0; width]);
    let mut row = vec![S::default(); width + LONGEST_RUN];
    for (y, out) in out.chunks_exact_mut(width).enumerate() {
        displacements.row(y, &mut dx, &mut dy);
        predict_row(reference, y, &dx, &dy, max, &mut row);
        out.copy_from_slice(&row[..width]);
    }
}

/// `out` may be overwritten up to a run beyond the end of the row.
#[inline(always)]
fn predict_row<S: Sample>(
    reference: &Padded<S>,
    y: usize,
    dx: &[i32],
    dy: &[i32],
    max: i32,
    out: &mut [S],
) {
    let (width, height) = (reference.width() as i32, reference.height() as i32);
    let right = width + reference.after() as i32 - (LONGEST_RUN + TAPS_READ) as i32;
    let mut x = 0;
    while x < dx.len() {
        let (here_x, here_y) = (dx[x], dy[x]);
        let longest = LONGEST_RUN.min(dx.len() - x);
        let mut length = 1;
        while length < longest && dx[x + length] == here_x && dy[x + length] == here_y {
            length += 1;
        }
        let mut left = x as i32 + (here_x >> 4) - 1;
        if left < -(BORDER as i32) || left > right {
            // Outside all taps see the same sample: any position out there will do.
            length = 1;
            left = left.clamp(-(BORDER as i32), width - 1);
        }
        let top = (y as i32 + (here_y >> 4) - 1).clamp(-(BORDER as i32), height - 1);
        let rows = [0, 1, 2, 3].map(|k| reference.from(left, top + k));
        let phases = [here_x & 15, here_y & 15];
        interpolate(rows, phases, max, &mut out[x..x + length.next_multiple_of(LANES)]);
        x += length;
    }
}

/// `out.len()`, at most `LONGEST_RUN`, samples whose first taps are at the starts of `rows`.
#[inline(always)]
fn interpolate<S: Sample>(rows: [&[S]; 4], phases: [i32; 2], max: i32, out: &mut [S]) {
    let [h, v] = phases.map(|p| COEFFICIENTS[p as usize]);
    // The order of the two directions does not matter, as nothing is rounded between them: the
    // sums stay below 65 535 · 176² < 2^31 even at 16 bits.
    let mut columns = [0i32; LONGEST_RUN + TAPS_READ];
    let columns = &mut columns[..out.len() + TAPS_READ];
    let rows = rows.map(|r| &r[..columns.len()]);
    for k in 0..columns.len() {
        let [a, b, c, d] = rows.map(|r| r[k].into());
        columns[k] = v[0] * a + v[1] * b + v[2] * c + v[3] * d;
    }
    let [a, b, c, d] = [0, 1, 2, 3].map(|k| &columns[k..k + out.len()]);
    for k in 0..out.len() {
        let sum = h[0] * a[k] + h[1] * b[k] + h[2] * c[k] + h[3] * d[k];
        let rounded = (sum + (1 << (2 * KERNEL_BITS - 1))) >> (2 * KERNEL_BITS);
        out[k] = S::from_i32(rounded.clamp(0, max));
    }
}
