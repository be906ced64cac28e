//! Blocks turned around, for training: from gradients of the mended frame to those of both frames
//! that it is made of.

use super::{Blend, Blocks, CELL, Cell};
use crate::error::{Error, Result};
use crate::motion::adjoint::check_gradients;
use crate::motion::kernel::{COEFFICIENTS, KERNEL_BITS};
use crate::motion::{Gradients, Vector};

/// Gradients of the planes of `base` and of `other`, given those of what [`apply`](super::apply())
/// makes of them (one frame).
///
/// The transpose of `apply` as a linear map, which it is without its rounding and clamping: an edge
/// sample receives what all its repetitions outside would.
///
/// # Errors
/// `InvalidArgument` if the picture is empty, a plane's length is not that of one frame, or the
/// cells of `blocks` are not the picture's.
pub fn adjoint(gradients: Gradients, blocks: &Blocks) -> Result<[[Vec<f32>; 3]; 2]> {
    let sizes = check_gradients(&gradients, 1)?;
    if [blocks.columns(), blocks.rows()] != sizes[0].map(|n| n.div_ceil(CELL)) {
        let (rows, columns) = (blocks.rows(), blocks.columns());
        return Err(Error::invalid(format!(
            "{rows} x {columns} cells for a picture of {:?}",
            sizes[0]
        )));
    }
    let mut base = gradients.planes.map(<[f32]>::to_vec);
    let mut other = sizes.map(|[width, height]| vec![0.0; width * height]);
    for k in 0..3 {
        divide(&mut base[k], &mut other[k], sizes[k], k > 0, blocks);
    }
    Ok([base, other])
}

/// Moves from the gradients of the base to those of the other frame what blocks took from there.
fn divide(base: &mut [f32], other: &mut [f32], size: [usize; 2], chroma: bool, blocks: &Blocks) {
    let edge = if chroma { CELL / 2 } else { CELL };
    for (index, cell) in blocks.cells().iter().enumerate() {
        let corner = [index % blocks.columns() * edge, index / blocks.columns() * edge];
        let mut block = |blend: Blend, corner: [usize; 2], edge: usize, vector: Vector| {
            let [(left, across), (top, down)] = [0, 1].map(|c| {
                let sixteenths = i32::from(vector[c]) * if chroma { 2 } else { 4 };
                (corner[c] as i32 + (sixteenths >> 4) - 1, (sixteenths & 15) as usize)
            });
            let [across, down] = [across, down]
                .map(|phase| COEFFICIENTS[phase].map(|c| f32::from(c) / (1 << KERNEL_BITS) as f32));
            let clamp = |i: i32, length: usize| i.clamp(0, length as i32 - 1) as usize;
            for y in corner[1]..(corner[1] + edge).min(size[1]) {
                for x in corner[0]..(corner[0] + edge).min(size[0]) {
                    let gradient = &mut base[y * size[0] + x];
                    let taken = match blend {
                        Blend::Mean => *gradient / 2.0,
                        Blend::Replace => *gradient,
                    };
                    *gradient -= taken;
                    for (n, d) in (0..).zip(down) {
                        let row = clamp(top + (y - corner[1]) as i32 + n, size[1]) * size[0];
                        for (m, a) in (0..).zip(across) {
                            let column = clamp(left + (x - corner[0]) as i32 + m, size[0]);
                            other[row + column] += taken * d * a;
                        }
                    }
                }
            }
        };
        match cell {
            Cell::Kept => {}
            Cell::Whole(blend, vector) => block(*blend, corner, edge, *vector),
            Cell::Quarters(blend, vectors) => {
                for (k, vector) in vectors.iter().enumerate() {
                    let corner = [corner[0] + k % 2 * edge / 2, corner[1] + k / 2 * edge / 2];
                    block(*blend, corner, edge / 2, *vector);
                }
            }
        }
    }
}
