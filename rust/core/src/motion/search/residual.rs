//! What a residual costs: an estimate of the bits of its transform coefficients.

use super::cost::{Cost, log2};
use crate::motion::geometry::Area;
use crate::motion::plane::Plane;
use crate::motion::wide::wide;

/// Edge of the squares that are transformed.
pub(crate) const TILE: usize = 8;
/// Squares transformed side by side.
const LANES: usize = 8;
const TERMS: usize = TILE * TILE * LANES;

/// What the residual of some tiles costs and how that would change.
#[derive(Clone, Default)]
pub(crate) struct Residual {
    /// Bits of each tile, row by row.
    pub bits: Vec<f32>,
    /// Bits per unit of squared error of each tile.
    pub slopes: Vec<f32>,
}

impl Residual {
    /// Of the tiles of an area, whose prediction is given row by row.
    pub fn new(prediction: &[u8], frame: &Plane<u8>, area: &Area, cost: Cost) -> Self {
        let mut residual = Self::default();
        measure(prediction, frame, area, cost, &mut residual);
        residual
    }
}

wide! {
    fn measure(
        prediction: &[u8],
        frame: &Plane<u8>,
        area: &Area,
        cost: Cost,
        out: &mut Residual,
    ) {
        let columns = area.width().div_ceil(TILE);
        let count = columns * area.height().div_ceil(TILE);
        let mut terms = [0.0; TERMS];
        for first in (0..count).step_by(LANES) {
            let lanes = LANES.min(count - first);
            if lanes < LANES || area.width() % TILE + area.height() % TILE > 0 {
                terms.fill(0.0);
            }
            for lane in 0..lanes {
                let (x, y) = ((first + lane) % columns * TILE, (first + lane) / columns * TILE);
                load(prediction, frame, area, [x, y], &mut terms[lane..]);
            }
            transform(&mut terms);
            weigh(&terms, cost, lanes, out);
        }
    }
}

/// The differences of the tile at (x, y) of the area, every `LANES`-th element of `terms`.
#[inline(always)]
fn load(prediction: &[u8], frame: &Plane<u8>, area: &Area, [x, y]: [usize; 2], terms: &mut [f32]) {
    let width = TILE.min(area.width() - x);
    for k in 0..TILE.min(area.height() - y) {
        let a = &frame.row(area.rows.start + y + k)[area.columns.start + x..][..width];
        let b = &prediction[(y + k) * area.width() + x..][..width];
        let terms = terms[k * TILE * LANES..].iter_mut().step_by(LANES);
        for ((term, &a), &b) in terms.zip(a).zip(b) {
            *term = (i32::from(a) - i32::from(b)) as f32;
        }
    }
}

/// Walsh-Hadamard transform of the lanes' tiles, without the factor 1/8.
#[inline(always)]
fn transform(terms: &mut [f32; TERMS]) {
    for log2 in 0..6 {
        let stride = LANES << log2;
        for pair in terms.chunks_exact_mut(2 * stride) {
            let (low, high) = pair.split_at_mut(stride);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
    }
}

/// Adds bits and slopes of the first tiles.
#[inline(always)]
fn weigh(terms: &[f32; TERMS], cost: Cost, lanes: usize, out: &mut Residual) {
    let scale = 1.0 / (cost.floor() * (TILE * TILE) as f32);
    let mut bits = [0.0; LANES];
    let mut coded = [0.0; LANES];
    let mut squares = [0.0; LANES];
    for group in terms.chunks_exact(4 * LANES) {
        let mut product = [1.0; LANES];
        for row in group.chunks_exact(LANES) {
            for k in 0..LANES {
                let square = row[k] * row[k] * scale;
                squares[k] += square;
                coded[k] += square / (1.0 + square);
                product[k] *= 1.0 + square;
            }
        }
        for k in 0..LANES {
            bits[k] += 0.5 * log2(product[k]);
        }
    }
    out.bits.extend_from_slice(&bits[..lanes]);
    out.slopes.extend((0..lanes).map(|k| {
        // Where nothing is left, the slope is that of a small error.
        let share = (coded[k] + 1e-6) / (squares[k] + 1e-6);
        0.5 * std::f32::consts::LOG2_E * share / cost.floor()
    }));
}
