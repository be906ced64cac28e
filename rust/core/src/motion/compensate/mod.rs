//! The prediction that a field makes. Normative: exact integers, the same on every machine.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod parts;

use rayon::prelude::*;

use super::geometry::{Area, Displacements, Kind, Lattice, line};
use super::kernel::{COEFFICIENTS, KERNEL_BITS};
use super::plane::{Padded, Plane, Sample};
use super::wide::wide;
use super::{Field, Vector};
use crate::cpu::{self, Level};
use crate::error::{Error, Result};

/// Samples with one displacement that are computed at a time.
const LONGEST_RUN: usize = 32;
/// Runs are rounded up to this many.
const LANES: usize = 8;
/// Taps of the kernel in each direction.
pub(crate) const TAPS: usize = 4;
/// Rows predicted at a time.
const BAND: usize = 64;
/// Samples of a plane from which on bands are predicted in parallel.
pub(crate) const PARALLEL: usize = 1 << 18;
/// Most rows that an approximate prediction gives the same displacements.
pub(crate) const HELD: usize = 4;
/// Repeated edge samples above and below that positions, clamped to one sample outside, and their
/// taps need, for as many rows at a time.
pub(crate) const BORDER: usize = TAPS + HELD;
/// Repeated edge samples to the left, for a whole run that lies outside.
const SIDE: usize = LONGEST_RUN + TAPS - 2;
/// Samples that are read at a time at most, as many as there must be to the right of the picture.
const READ: usize = 64;

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
    let lattice = |plane: &Plane<S>, kind| {
        let size = [plane.width(), plane.height()];
        Lattice::new(size, [field.rows(), field.columns()], field.step(), kind)
    };
    let [y, u, v] = reference.each_ref().map(pad);
    let luma = lattice(&reference[0], Kind::Luma);
    let chroma = lattice(&reference[1], Kind::Chroma);
    let predict = |frame| {
        let vectors = field.frame(frame);
        [(&y, &luma), (&u, &chroma), (&v, &chroma)]
            .map(|(plane, lattice)| predict_plane(plane, lattice, vectors, bit_depth))
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

pub(crate) fn check_grid(field: &Field, width: usize, height: usize) -> Result<()> {
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
fn pad<S: Sample>(plane: &Plane<S>) -> Padded<S> {
    Padded::new(plane, [SIDE, BORDER], [READ, BORDER])
}

/// One plane of the prediction of one frame.
fn predict_plane<S: Sample>(
    reference: &Padded<S>,
    lattice: &Lattice,
    vectors: &[Vector],
    bit_depth: u32,
) -> Vec<S> {
    let (width, height) = (reference.width(), reference.height());
    let mut out = vec![S::default(); width * height];
    let band = |(index, out): (usize, &mut [S])| {
        let rows = index * BAND..height.min((index + 1) * BAND);
        predict_area(
            reference,
            lattice,
            vectors,
            &Area { columns: 0..width, rows },
            bit_depth,
            1,
            out,
        );
    };
    if out.len() < PARALLEL {
        out.chunks_mut(width * BAND).enumerate().for_each(band);
    } else {
        out.par_chunks_mut(width * BAND).enumerate().for_each(band);
    }
    out
}

/// An area of the prediction, into `out` row by row.
///
/// It is exact if `held` is 1; up to [`HELD`], so many rows between the same cell centres get the
/// displacements of one of them where those differ little, which is faster.
pub(crate) fn predict_area<S: Sample>(
    reference: &Padded<S>,
    lattice: &Lattice,
    vectors: &[Vector],
    area: &Area,
    bit_depth: u32,
    held: usize,
    out: &mut [S],
) {
    if let Some(reference) = (reference as &dyn std::any::Any).downcast_ref()
        && let Some(out) = S::bytes_mut(out)
    {
        return predict_bytes(Level::highest(), reference, lattice, vectors, area, held, out);
    }
    predict_rows(reference, lattice, vectors, area, bit_depth, held, out);
}

/// As `predict_area`, with the instructions of a level.
fn predict_bytes(
    level: Level,
    reference: &Padded<u8>,
    lattice: &Lattice,
    vectors: &[Vector],
    area: &Area,
    held: usize,
    out: &mut [u8],
) {
    match level.kind() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is one of this processor's.
        cpu::Kind::Avx2 => unsafe {
            avx2::predict_area(reference, lattice, vectors, area, held, out);
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        cpu::Kind::Avx512 => unsafe {
            avx512::predict_area(reference, lattice, vectors, area, held, out);
        },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        cpu::Kind::Neon => unsafe {
            neon::predict_area(reference, lattice, vectors, area, held, out);
        },
        #[cfg(target_feature = "simd128")]
        cpu::Kind::Simd128 => predict_rows(reference, lattice, vectors, area, 8, held, out),
        cpu::Kind::Scalar => predict_rows(reference, lattice, vectors, area, 8, held, out),
    }
}

wide! {
    /// As `predict_area`, for all samples and processors.
    fn predict_rows<S: Sample>(
        reference: &Padded<S>,
        lattice: &Lattice,
        vectors: &[Vector],
        area: &Area,
        bit_depth: u32,
        held: usize,
        out: &mut [S],
    ) {
        let width = area.width();
        let max = (1 << bit_depth) - 1;
        let mut displacements = Displacements::new(lattice, width);
        let mut row = vec![S::default(); width + LONGEST_RUN];
        for (rows, down) in lattice.vertical.within(&area.rows) {
            for (columns, across) in lattice.horizontal.within(&area.columns) {
                let held = lattice.rows_alike(vectors, down, across, held);
                for (rows, at) in down.held(&rows, held) {
                    displacements.fill(lattice, vectors, at, &columns, line);
                    let (dx, dy) = (&displacements.dx, &displacements.dy);
                    let (dx, dy) = (&dx[..columns.len()], &dy[..columns.len()]);
                    for y in rows {
                        predict_row(reference, [columns.start, y], dx, dy, max, &mut row);
                        let from = columns.start - area.columns.start;
                        let out = &mut out[(y - area.rows.start) * width + from..];
                        out[..columns.len()].copy_from_slice(&row[..columns.len()]);
                    }
                }
            }
        }
    }
}

/// The samples from `start` on, one per displacement. `out` may be overwritten up to a run beyond.
#[inline(always)]
fn predict_row<S: Sample>(
    reference: &Padded<S>,
    [start, y]: [usize; 2],
    dx: &[i32],
    dy: &[i32],
    max: i32,
    out: &mut [S],
) {
    let (width, height) = (reference.width() as i32, reference.height() as i32);
    let mut x = 0;
    while x < dx.len() {
        let (here_x, here_y) = (dx[x], dy[x]);
        let longest = LONGEST_RUN.min(dx.len() - x);
        let mut length = 1;
        while length < longest && dx[x + length] == here_x && dy[x + length] == here_y {
            length += 1;
        }
        // Further outside all that a run sees is the same sample, as it is at these bounds.
        let left = ((start + x) as i32 + (here_x >> 4) - 1).clamp(-(SIDE as i32), width - 1);
        let top = (y as i32 + (here_y >> 4) - 1).clamp(-(BORDER as i32), height - 1);
        let rows = [0, 1, 2, 3].map(|k| reference.from(left, top + k));
        let phases = [here_x & 15, here_y & 15];
        interpolate(rows, phases, max, &mut out[x..x + length.next_multiple_of(LANES)]);
        x += length;
    }
}

/// Samples whose first taps are from the starts of `rows` on.
#[inline(always)]
fn interpolate<S: Sample>(rows: [&[S]; 4], phases: [i32; 2], max: i32, out: &mut [S]) {
    let [h, v] = phases.map(|p| COEFFICIENTS[p as usize]);
    // The order of the two directions does not matter, as nothing is rounded between them: the
    // sums stay below 65 535 · 176² < 2^31 even at 16 bits.
    let count = out.len();
    let [p, q, r, s] = v.map(i32::from);
    let constant = (S::OFFSET << KERNEL_BITS) + (1 << (2 * KERNEL_BITS - 1));
    let [a0, a1, a2, a3] = shifted(rows[0], count);
    let [b0, b1, b2, b3] = shifted(rows[1], count);
    let [c0, c1, c2, c3] = shifted(rows[2], count);
    let [d0, d1, d2, d3] = shifted(rows[3], count);
    for k in 0..count {
        let a: i32 = S::weigh([a0[k], a1[k], a2[k], a3[k]], h).into();
        let b: i32 = S::weigh([b0[k], b1[k], b2[k], b3[k]], h).into();
        let c: i32 = S::weigh([c0[k], c1[k], c2[k], c3[k]], h).into();
        let d: i32 = S::weigh([d0[k], d1[k], d2[k], d3[k]], h).into();
        let sum = p * a + q * b + r * c + s * d;
        out[k] = S::from_i32(((sum + constant) >> (2 * KERNEL_BITS)).clamp(0, max));
    }
}

/// The samples under each of the taps.
#[inline(always)]
fn shifted<S>(row: &[S], count: usize) -> [&[S]; TAPS] {
    [&row[..count], &row[1..count + 1], &row[2..count + 2], &row[3..count + 3]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Any area, at every level of this processor and plainly.
        #[test]
        fn the_fast_paths_are_the_plain_one(
            size in [1usize..140, 1usize..40],
            step in prop::sample::select(vec![4usize, 8, 16, 32, 64]),
            chroma: bool,
            corners in [[0usize..140, 0usize..40], [0usize..140, 0usize..40]],
            reach in prop::sample::select(vec![0i16, 3, 60, 300, 2047]),
            // As many vectors next to each other are the same.
            alike in 1usize..40,
            seed in prop::collection::vec(any::<i16>(), 64),
            samples in prop::collection::vec(any::<u8>(), 331),
        ) {
            let kind = if chroma { Kind::Chroma } else { Kind::Luma };
            let luma = size.map(|length| if chroma { 2 * length - 1 } else { length });
            let grid = [luma[1].div_ceil(step), luma[0].div_ceil(step)];
            let lattice = Lattice::new(size, grid, step, kind);
            let component = |k: usize| seed[k % seed.len()] % (reach + 1);
            let vectors: Vec<Vector> =
                (0..grid[0] * grid[1])
                    .map(|k| k / alike)
                    .map(|k| [component(2 * k), component(2 * k + 1)])
                    .collect();
            let plane: Vec<u8> =
                (0..size[0] * size[1]).map(|k| samples[k % samples.len()]).collect();
            let reference = pad(&Plane::new(size[0], size[1], &plane).unwrap());
            let range = |k: usize| {
                let (a, b) = (corners[0][k] % size[k], corners[1][k] % size[k]);
                a.min(b)..a.max(b) + 1
            };
            let area = Area { columns: range(0), rows: range(1) };
            let held = 1 + alike % HELD;
            let mut plain = vec![0; area.samples()];
            predict_rows(&reference, &lattice, &vectors, &area, 8, held, &mut plain);
            for &level in Level::available() {
                let mut fast = vec![0; area.samples()];
                predict_bytes(level, &reference, &lattice, &vectors, &area, held, &mut fast);
                prop_assert!(fast == plain, "{level}: {fast:?} instead of {plain:?}");
            }
        }
    }
}
