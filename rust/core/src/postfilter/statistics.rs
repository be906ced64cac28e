//! What the encoder gathers to fit filters.

use rayon::prelude::*;

use super::classes::{Class, Sums, classify, pad};
use super::{BLOCK, CLASSES, OFFSETS, REACH, TAPS, TURNS};
use crate::motion::plane::{Padded, Plane, Sample};
use crate::motion::wide::wide;

/// Samples of a block.
const SAMPLES: usize = BLOCK * BLOCK;
/// Pairs of taps, one for each product, the diagonal included.
const PRODUCTS: usize = TAPS * (TAPS + 1) / 2;
/// Bits of a sample from which on differences are taken of fewer, so that their products fit.
const MOST_BITS: u32 = 12;

/// Of one class: sums over its samples of products of what its taps see, and with the error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    /// Of taps i ≤ j, in the order of reading.
    products: [i64; PRODUCTS],
    with_error: [i64; TAPS],
}

impl Default for Moments {
    fn default() -> Self {
        Self { products: [0; PRODUCTS], with_error: [0; TAPS] }
    }
}

impl Moments {
    fn add(&mut self, other: &Self) {
        self.products.iter_mut().zip(other.products).for_each(|(a, b)| *a += b);
        self.with_error.iter_mut().zip(other.with_error).for_each(|(a, b)| *a += b);
    }
}

/// The same in double precision and in squared 8-bit codes.
#[derive(Clone, Debug)]
pub(super) struct Normal {
    pub products: [[f64; TAPS]; TAPS],
    pub with_error: [f64; TAPS],
}

impl Default for Normal {
    fn default() -> Self {
        Self { products: [[0.0; TAPS]; TAPS], with_error: [0.0; TAPS] }
    }
}

impl Normal {
    /// Forgets so much of the past and adds so many times what is new.
    pub fn update(&mut self, keep: f64, times: f64, moments: &Moments, bit_depth: u32) {
        let unit = times * 0.25f64.powi(bit_depth.min(MOST_BITS) as i32 - 8);
        let mut products = moments.products.iter();
        for i in 0..TAPS {
            self.with_error[i] = keep * self.with_error[i] + unit * moments.with_error[i] as f64;
            for j in i..TAPS {
                let new = *products.next().expect("a product for each pair") as f64;
                let sum = keep * self.products[i][j] + unit * new;
                (self.products[i][j], self.products[j][i]) = (sum, sum);
            }
        }
    }
}

/// The moments of each class, from every `step`th row of a plane's blocks from `first` on.
pub(super) fn gather<S: Sample>(
    decoded: &Plane<S>,
    source: &Plane<S>,
    [first, step]: [usize; 2],
    bit_depth: u32,
) -> Vec<Moments> {
    let padded = pad(decoded);
    // Blocks that reach beyond the plane are left out; a plane has few.
    let rows = (decoded.height() / BLOCK).saturating_sub(first).div_ceil(step);
    let sum = |mut a: Vec<Moments>, b: Vec<Moments>| {
        a.iter_mut().zip(&b).for_each(|(a, b)| a.add(b));
        a
    };
    let empty = || vec![Moments::default(); CLASSES];
    let band = |mut moments: Vec<Moments>, row: usize| {
        let y = (first + row * step) * BLOCK;
        gather_band(&padded, source, y, bit_depth, &mut moments);
        moments
    };
    (0..rows).into_par_iter().with_min_len(16).fold(empty, band).reduce(empty, sum)
}

fn gather_band<S: Sample>(
    decoded: &Padded<S>,
    source: &Plane<S>,
    y: usize,
    bit_depth: u32,
    moments: &mut [Moments],
) {
    let columns = decoded.width() / BLOCK;
    let (mut sums, mut classes) = (Sums::default(), Vec::new());
    classify(decoded, y, columns, bit_depth, &mut sums, &mut classes);
    let shift = bit_depth.saturating_sub(MOST_BITS);
    for (column, &class) in classes.iter().enumerate() {
        let x = column * BLOCK;
        let mut error = [0; SAMPLES];
        for (row, error) in error.chunks_exact_mut(BLOCK).enumerate() {
            let (source, decoded) = (&source.row(y + row)[x..], &decoded.row(y + row)[x..]);
            for i in 0..BLOCK {
                error[i] = ((source[i].into() - decoded[i].into()) >> shift) as i16;
            }
        }
        let (window, stride) = decoded.block(x as i32 - REACH as i32, y as i32 - REACH as i32);
        add_block(window, stride, class, shift, &error, &mut moments[usize::from(class.class)]);
    }
}

wide! {
    fn add_block<S: Sample>(
        window: &[S],
        stride: usize,
        class: Class,
        shift: u32,
        error: &[i16; SAMPLES],
        moments: &mut Moments,
    ) {
        let mut seen = [[0i16; SAMPLES]; TAPS];
        for (k, &[down, right]) in OFFSETS.iter().enumerate() {
            for row in 0..BLOCK {
                let at = |down: isize, right: isize| -> &[S] {
                    let y = (REACH + row).wrapping_add_signed(down);
                    &window[y * stride + REACH.wrapping_add_signed(right)..][..BLOCK]
                };
                let (first, here, second) = (at(down, right), at(0, 0), at(-down, -right));
                for i in 0..BLOCK {
                    let difference = first[i].into() + second[i].into() - 2 * here[i].into();
                    seen[k][row * BLOCK + i] = (difference >> shift) as i16;
                }
            }
        }
        let seen = TURNS[usize::from(class.turn)].map(|place| seen[place]);
        let mut products = moments.products.iter_mut();
        for i in 0..TAPS {
            moments.with_error[i] += i64::from(dot(&seen[i], error));
            for j in i..TAPS {
                *products.next().expect("a product for each pair") +=
                    i64::from(dot(&seen[i], &seen[j]));
            }
        }
    }
}

#[inline(always)]
fn dot(a: &[i16; SAMPLES], b: &[i16; SAMPLES]) -> i32 {
    // Wraps only for samples that do not fit their bit depth.
    let products = (0..SAMPLES).map(|k| i32::from(a[k]) * i32::from(b[k]));
    products.fold(0, i32::wrapping_add)
}
