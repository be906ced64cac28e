//! What filters do, as specified.

use rayon::prelude::*;

use super::classes::{Sums, classify, pad};
use super::{BLOCK, CLASSES, Filter, Filters, OFFSETS, ONE_BITS, REACH, TAPS, TURNS};
use crate::error::Result;
use crate::motion::compensate::{PARALLEL, check_depth};
use crate::motion::plane::{Padded, Plane, Sample};
use crate::motion::wide::wide;

/// Planes Y, U, V, filtered.
///
/// # Errors
/// `InvalidArgument` if the bit depth is not one of the samples' type.
pub fn apply<S: Sample>(
    planes: [Plane<S>; 3],
    filters: &Filters,
    bit_depth: u32,
) -> Result<[Vec<S>; 3]> {
    check_depth::<S>(bit_depth)?;
    Ok([0, 1, 2].map(|k| apply_plane(&planes[k], &filters.0[k], bit_depth)))
}

fn apply_plane<S: Sample>(plane: &Plane<S>, filters: &[Filter; CLASSES], bit_depth: u32) -> Vec<S> {
    if filters.iter().flatten().all(|&c| c == 0) {
        return plane.samples().to_vec();
    }
    let padded = pad(plane);
    let mut out = vec![S::default(); plane.samples().len()];
    let bands = plane.width() * BLOCK;
    let band = |scratch: &mut Scratch, (index, out): (usize, &mut [S])| {
        filter_band(&padded, index * BLOCK, filters, bit_depth, scratch, out);
    };
    if out.len() < PARALLEL {
        let mut scratch = Scratch::default();
        out.chunks_mut(bands).enumerate().for_each(|part| band(&mut scratch, part));
    } else {
        out.par_chunks_mut(bands).enumerate().for_each_init(Scratch::default, band);
    }
    out
}

#[derive(Default)]
struct Scratch {
    sums: Sums,
    classes: Vec<super::classes::Class>,
    /// Of each offset, the coefficient of every column of samples.
    coefficients: [Vec<i32>; TAPS],
}

fn filter_band<S: Sample>(
    plane: &Padded<S>,
    y: usize,
    filters: &[Filter; CLASSES],
    bit_depth: u32,
    scratch: &mut Scratch,
    out: &mut [S],
) {
    let columns = plane.width().div_ceil(BLOCK);
    classify(plane, y, columns, bit_depth, &mut scratch.sums, &mut scratch.classes);
    for coefficients in &mut scratch.coefficients {
        coefficients.resize(columns * BLOCK, 0);
    }
    for (column, class) in scratch.classes.iter().enumerate() {
        let filter = &filters[usize::from(class.class)];
        for (k, &place) in TURNS[usize::from(class.turn)].iter().enumerate() {
            let at = column * BLOCK;
            scratch.coefficients[place][at..at + BLOCK].fill(i32::from(filter[k]));
        }
    }
    let largest = (1 << bit_depth) - 1;
    for (row, out) in out.chunks_exact_mut(plane.width()).enumerate() {
        filter_row(plane, (y + row) as i32, &scratch.coefficients, largest, out);
    }
}

wide! {
    fn filter_row<S: Sample>(
        plane: &Padded<S>,
        y: i32,
        coefficients: &[Vec<i32>; TAPS],
        largest: i32,
        out: &mut [S],
    ) {
        /// Samples at a time, so that sums stay in registers.
        const RUN: usize = 16;
        let rows =
            std::array::from_fn(|k| plane.from(-(REACH as i32), y + k as i32 - REACH as i32));
        let width = out.len();
        if width < RUN {
            (0..width).for_each(|x| filter_run::<S, 1>(&rows, coefficients, largest, x, out));
            return;
        }
        for x in (0..width).step_by(RUN) {
            // The last run ends where the row does.
            let x = x.min(width - RUN);
            filter_run::<S, RUN>(&rows, coefficients, largest, x, out);
        }
    }
}

#[inline(always)]
fn filter_run<S: Sample, const N: usize>(
    rows: &[&[S]; 2 * REACH + 1],
    coefficients: &[Vec<i32>; TAPS],
    largest: i32,
    x: usize,
    out: &mut [S],
) {
    let samples = |down: isize, right: isize| -> &[S; N] {
        let row = rows[REACH.wrapping_add_signed(down)];
        row[(x + REACH).wrapping_add_signed(right)..][..N].try_into().expect("N samples")
    };
    let here = samples(0, 0);
    let mut sums = [1 << (ONE_BITS - 1); N];
    for (k, &[down, right]) in OFFSETS.iter().enumerate() {
        let (first, second) = (samples(down, right), samples(-down, -right));
        let coefficients: &[i32; N] = coefficients[k][x..][..N].try_into().expect("N columns");
        for i in 0..N {
            let difference = first[i].into() + second[i].into() - 2 * here[i].into();
            sums[i] += coefficients[i] * difference;
        }
    }
    for (i, out) in out[x..][..N].iter_mut().enumerate() {
        *out = S::from_i32((here[i].into() + (sums[i] >> ONE_BITS)).clamp(0, largest));
    }
}
