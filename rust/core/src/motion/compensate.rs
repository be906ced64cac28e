//! The prediction that a field makes. Normative: exact integers, the same on every machine.

use super::geometry::{Displacements, Kind};
use super::kernel::{COEFFICIENTS, KERNEL_BITS};
use super::plane::{Padded, Plane, Sample};
use super::{Field, Vector};
use crate::error::{Error, Result};

/// Samples computed at a time.
const CHUNK: usize = 8;
/// Samples of one row that a chunk reads.
const READ: usize = CHUNK + 3;
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
    Padded::new(plane, BORDER, BORDER + READ)
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
    let mut displacements = Displacements::new(vectors, columns, step, width, height, kind);
    let max = (1 << bit_depth) - 1;
    displacements.for_rows(0..height, |y, dx, dy| {
        predict_row(reference, y, dx, dy, max, &mut out[y * width..][..width]);
    });
    out
}

fn predict_row<S: Sample>(
    reference: &Padded<S>,
    y: usize,
    dx: &[i32],
    dy: &[i32],
    max: i32,
    out: &mut [S],
) {
    let right = (reference.width() + reference.after() - READ) as i32;
    let mut x = 0;
    while x < out.len() {
        let (here_x, here_y) = (dx[x], dy[x]);
        let longest = CHUNK.min(out.len() - x);
        let same = |k: &usize| dx[x + k] == here_x && dy[x + k] == here_y;
        let mut length = (1..longest).take_while(same).count() + 1;
        let mut left = x as i32 + (here_x >> 4) - 1;
        if left < -(BORDER as i32) || left > right {
            // Outside all taps see the same sample: any position out there will do.
            length = 1;
            left = left.clamp(-(BORDER as i32), reference.width() as i32 - 1);
        }
        let top =
            (y as i32 + (here_y >> 4) - 1).clamp(-(BORDER as i32), reference.height() as i32 - 1);
        let values = interpolate(reference, left, top, here_x & 15, here_y & 15, max);
        out[x..x + length].copy_from_slice(&values[..length]);
        x += length;
    }
}

/// The samples whose first tap is at (left, top) and the seven after it.
#[inline(always)]
fn interpolate<S: Sample>(
    reference: &Padded<S>,
    left: i32,
    top: i32,
    phase_x: i32,
    phase_y: i32,
    max: i32,
) -> [S; CHUNK] {
    let row = |k| -> &[S; READ] { reference.from(left, top + k).first_chunk().unwrap() };
    let rows = [row(0), row(1), row(2), row(3)];
    let (h, v) = (&COEFFICIENTS[phase_x as usize], &COEFFICIENTS[phase_y as usize]);
    // The order of the two directions does not matter, as nothing is rounded between them: the
    // sums stay below 65 535 · 176² < 2^31 even at 16 bits.
    let mut column = [0i32; READ];
    for (k, sum) in column.iter_mut().enumerate() {
        *sum = (0..4).map(|r| v[r] * rows[r][k].into()).sum();
    }
    std::array::from_fn(|k| {
        let sum: i32 = (0..4).map(|c| h[c] * column[k + c]).sum();
        let rounded = (sum + (1 << (2 * KERNEL_BITS - 1))) >> (2 * KERNEL_BITS);
        S::from_i32(rounded.clamp(0, max))
    })
}
