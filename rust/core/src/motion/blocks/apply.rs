//! What blocks do, as specified.

use super::{Blend, Blocks, CELL, Cell};
use crate::error::{Error, Result};
use crate::motion::Vector;
use crate::motion::compensate::check_depth;
use crate::motion::kernel::{COEFFICIENTS, KERNEL_BITS};
use crate::motion::plane::{Plane, Sample};
use crate::motion::wide::wide;

/// Samples of the kernel beyond a block.
const TAPS: usize = 4;
const WINDOW: usize = CELL + TAPS - 1;

/// A displaced block, at most `CELL` × `CELL`; rows are `CELL` apart.
pub(super) type Samples = [i32; CELL * CELL];

/// Planes Y, U, V of `base` with the blocks from `other`.
///
/// # Errors
/// `InvalidArgument` if the planes are not of one 4:2:0 picture with as many cells as `blocks`, or
/// the bit depth is not one of the samples' type.
pub fn apply<S: Sample>(
    base: [Plane<S>; 3],
    other: [Plane<S>; 3],
    blocks: &Blocks,
    bit_depth: u32,
) -> Result<[Vec<S>; 3]> {
    check_depth::<S>(bit_depth)?;
    let size = |plane: &Plane<S>| [plane.width(), plane.height()];
    let luma = size(&base[0]);
    let expected = [luma, luma.map(|n| n.div_ceil(2)), luma.map(|n| n.div_ceil(2))];
    for k in 0..3 {
        if size(&base[k]) != expected[k] || size(&other[k]) != expected[k] {
            return Err(Error::invalid(format!(
                "plane {k} is {:?} and {:?} where {:?} is wanted",
                size(&base[k]),
                size(&other[k]),
                expected[k]
            )));
        }
    }
    if [blocks.columns(), blocks.rows()] != luma.map(|n| n.div_ceil(CELL)) {
        let (rows, columns) = (blocks.rows(), blocks.columns());
        return Err(Error::invalid(format!("{rows} x {columns} cells for a picture of {luma:?}")));
    }
    let largest = (1 << bit_depth) - 1;
    Ok([0, 1, 2].map(|k| blend(&base[k], &other[k], k > 0, blocks, largest)))
}

fn blend<S: Sample>(
    base: &Plane<S>,
    other: &Plane<S>,
    chroma: bool,
    blocks: &Blocks,
    largest: i32,
) -> Vec<S> {
    let mut out = base.samples().to_vec();
    let edge = if chroma { CELL / 2 } else { CELL };
    let mut samples = [0; CELL * CELL];
    for (index, cell) in blocks.cells().iter().enumerate() {
        let corner = [index % blocks.columns() * edge, index / blocks.columns() * edge];
        let mut block = |blend: Blend, corner: [usize; 2], edge: usize, vector: Vector| {
            let [x, y] = corner;
            if x >= base.width() || y >= base.height() {
                return;
            }
            displaced(other, corner, edge, vector, chroma, largest, &mut samples);
            let width = edge.min(base.width() - x);
            let rows = out.chunks_exact_mut(base.width()).skip(y).take(edge);
            for (row, samples) in rows.zip(samples.chunks_exact(CELL)) {
                for (out, sample) in row[x..x + width].iter_mut().zip(samples) {
                    *out = S::from_i32(match blend {
                        Blend::Mean => ((*out).into() + sample + 1) >> 1,
                        Blend::Replace => *sample,
                    });
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
    out
}

/// The block `edge` × `edge` at `corner` of the plane, displaced by `vector`; outside the plane are
/// edge samples.
pub(super) fn displaced<S: Sample>(
    plane: &Plane<S>,
    corner: [usize; 2],
    edge: usize,
    vector: Vector,
    chroma: bool,
    largest: i32,
    out: &mut Samples,
) {
    let [(x, across), (y, down)] = [0, 1].map(|c| {
        let sixteenths = i32::from(vector[c]) * if chroma { 2 } else { 4 };
        (corner[c] as i32 + (sixteenths >> 4), (sixteenths & 15) as usize)
    });
    let mut window = [0; WINDOW * CELL + WINDOW * TAPS];
    let clamp = |i: i32, length: usize| i.clamp(0, length as i32 - 1) as usize;
    let inside = x >= 1 && x as usize + edge + 2 <= plane.width();
    for (row, out) in window.chunks_exact_mut(WINDOW).take(edge + TAPS - 1).enumerate() {
        let samples = plane.row(clamp(y - 1 + row as i32, plane.height()));
        let out = &mut out[..edge + TAPS - 1];
        if inside {
            for (out, &sample) in out.iter_mut().zip(&samples[x as usize - 1..]) {
                *out = sample.into();
            }
        } else {
            for (column, out) in out.iter_mut().enumerate() {
                *out = samples[clamp(x - 1 + column as i32, plane.width())].into();
            }
        }
    }
    if (across, down) == (0, 0) {
        // What the kernel gives for whole samples.
        for (out, row) in
            out.chunks_exact_mut(CELL).zip(window.chunks_exact(WINDOW).skip(1)).take(edge)
        {
            out[..edge].copy_from_slice(&row[1..=edge]);
        }
        return;
    }
    match edge {
        16 => filter_16(&window, across, down, largest, out),
        _ => filter_8(&window, across, down, largest, out),
    }
}

wide! {
    fn filter_16(window: &[i32], across: usize, down: usize, largest: i32, out: &mut Samples) {
        filter::<16>(window, across, down, largest, out);
    }
}

wide! {
    fn filter_8(window: &[i32], across: usize, down: usize, largest: i32, out: &mut Samples) {
        filter::<8>(window, across, down, largest, out);
    }
}

/// The kernel across, then down: `N` × `N` samples (of which a smaller block uses the first).
#[inline(always)]
fn filter<const N: usize>(
    window: &[i32],
    across: usize,
    down: usize,
    largest: i32,
    out: &mut Samples,
) {
    let [a, d] = [across, down].map(|phase| COEFFICIENTS[phase].map(i32::from));
    let mut sums = [[0; N]; WINDOW];
    for (sums, row) in sums.iter_mut().zip(window.chunks_exact(WINDOW)).take(N + TAPS - 1) {
        let row: &[i32; WINDOW] = row.try_into().expect("a whole row");
        for x in 0..N {
            sums[x] = (0..TAPS).map(|k| a[k] * row[x + k]).sum();
        }
    }
    for (y, out) in out.chunks_exact_mut(CELL).take(N).enumerate() {
        for x in 0..N {
            let sum: i32 = (0..TAPS).map(|k| d[k] * sums[y + k][x]).sum();
            let rounded = (sum + (1 << (2 * KERNEL_BITS - 1))) >> (2 * KERNEL_BITS);
            out[x] = rounded.clamp(0, largest);
        }
    }
}
