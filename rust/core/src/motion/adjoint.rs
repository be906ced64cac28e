//! Compensation turned around, for training: from gradients of the prediction to those of the
//! reference.

use super::compensate::{BORDER, TAPS, check_grid};
use super::geometry::{Displacements, Kind, Lattice, line};
use super::kernel::{COEFFICIENTS, KERNEL_BITS};
use super::{Field, Vector};
use crate::error::{Error, Result};

/// Gradients of the prediction of some frames of a 4:2:0 picture.
#[derive(Clone, Copy, Debug)]
pub struct Gradients<'a> {
    /// Luma samples per row.
    pub width: usize,
    /// Luma rows.
    pub height: usize,
    /// Y, U and V, each all frames one after the other, row by row.
    pub planes: [&'a [f32]; 3],
}

/// Gradients of the reference's planes, given those of all frames predicted from it.
///
/// The transpose of [`compensate`](super::compensate()) as a linear map, which it is without its
/// rounding and clamping: an edge sample receives what all its repetitions outside would.
///
/// # Errors
/// `InvalidArgument` if the picture is empty, a plane's length is not that of the field's frames,
/// or the field's grid is not the picture's.
pub fn compensate_adjoint(gradients: Gradients, field: &Field) -> Result<[Vec<f32>; 3]> {
    let Gradients { width, height, planes } = gradients;
    let sizes = check_gradients(&gradients, field.frames())?;
    if field.step() != 0 {
        check_grid(field, width, height)?;
    }
    let grid = [field.rows(), field.columns()];
    Ok(std::array::from_fn(|k| {
        let kind = if k == 0 { Kind::Luma } else { Kind::Chroma };
        let frames = planes[k].chunks_exact(sizes[k][0] * sizes[k][1]);
        if field.step() == 0 {
            return sum(frames, sizes[k]);
        }
        let lattice = Lattice::new(sizes[k], grid, field.step(), kind);
        let mut out = Accumulator::new(sizes[k]);
        for (index, gradient) in frames.enumerate() {
            out.add(gradient, &lattice, field.frame(index));
        }
        out.fold()
    }))
}

/// The sizes of the planes that `frames` frames of gradients are of.
pub(super) fn check_gradients(gradients: &Gradients, frames: usize) -> Result<[[usize; 2]; 3]> {
    let &Gradients { width, height, planes } = gradients;
    if !(1..=65_535).contains(&width) || !(1..=65_535).contains(&height) {
        return Err(Error::invalid(format!("a plane cannot be {width} x {height}")));
    }
    let half = [width.div_ceil(2), height.div_ceil(2)];
    let sizes = [[width, height], half, half];
    for (k, (plane, [width, height])) in planes.iter().zip(sizes).enumerate() {
        if plane.len() != frames * width * height {
            return Err(Error::invalid(format!(
                "gradients[{k}]: {} samples are not {frames} frames of {width} x {height}",
                plane.len(),
            )));
        }
    }
    Ok(sizes)
}

/// Without a field every frame is the reference.
fn sum<'a>(frames: impl Iterator<Item = &'a [f32]>, [width, height]: [usize; 2]) -> Vec<f32> {
    let mut out = vec![0.0; width * height];
    for frame in frames {
        out.iter_mut().zip(frame).for_each(|(sum, g)| *sum += g);
    }
    out
}

/// Gradients of a plane and of the samples outside that repeat its edges.
struct Accumulator {
    width: usize,
    height: usize,
    stride: usize,
    sums: Vec<f32>,
}

impl Accumulator {
    fn new([width, height]: [usize; 2]) -> Self {
        let stride = width + 2 * BORDER;
        Self { width, height, stride, sums: vec![0.0; stride * (height + 2 * BORDER)] }
    }

    /// Adds what the prediction of one frame hands back.
    fn add(&mut self, gradient: &[f32], lattice: &Lattice, vectors: &[Vector]) {
        let scale = 1.0 / (1 << KERNEL_BITS) as f32;
        let kernel = COEFFICIENTS.map(|row| row.map(|c| f32::from(c) * scale));
        let mut displacements = Displacements::new(lattice, self.width);
        // Further out all taps see the same edge sample, as they do at these bounds.
        let first = |at: usize, displacement: i32, length: usize| {
            let position = at as i32 + (displacement >> 4) - 1;
            (position.clamp(-(BORDER as i32), length as i32 - 1) + BORDER as i32) as usize
        };
        for (y, row) in gradient.chunks_exact(self.width).enumerate() {
            displacements.fill(lattice, vectors, y, &(0..self.width), line);
            let Displacements { dx, dy, .. } = &displacements;
            for (x, &g) in row.iter().enumerate() {
                let start =
                    first(y, dy[x], self.height) * self.stride + first(x, dx[x], self.width);
                let across = kernel[(dx[x] & 15) as usize].map(|c| c * g);
                for (n, down) in kernel[(dy[x] & 15) as usize].into_iter().enumerate() {
                    let sums: &mut [f32; TAPS] = self.sums[start + n * self.stride..]
                        .first_chunk_mut()
                        .expect("the border holds all taps");
                    for (sum, a) in sums.iter_mut().zip(across) {
                        *sum += down * a;
                    }
                }
            }
        }
    }

    /// The plane, with what lies outside added to the edge samples.
    fn fold(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.width * self.height];
        for (y, row) in self.sums.chunks_exact(self.stride).enumerate() {
            let y = y.saturating_sub(BORDER).min(self.height - 1);
            let out = &mut out[y * self.width..][..self.width];
            let (before, rest) = row.split_at(BORDER);
            let (inside, after) = rest.split_at(self.width);
            out.iter_mut().zip(inside).for_each(|(out, sum)| *out += sum);
            out[0] += before.iter().sum::<f32>();
            out[self.width - 1] += after.iter().sum::<f32>();
        }
        out
    }
}
