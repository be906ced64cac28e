//! What a residual costs: an estimate of the bits of its transform coefficients.

use super::cost::Cost;
use crate::motion::plane::Plane;

/// Edge of the squares that are transformed.
pub(crate) const TILE: usize = 8;
/// Squares transformed side by side.
const LANES: usize = 8;
const TERMS: usize = TILE * TILE * LANES;

/// The cost of a residual and how it would change.
pub(crate) struct Residual {
    /// Bits of the whole.
    pub bits: f32,
    /// For each tile, row by row, bits per unit of squared error.
    pub slopes: Vec<f32>,
}

impl Residual {
    /// Of `prediction`, row by row of the frame's width, against `frame`.
    pub fn new(prediction: &[u8], frame: &Plane<u8>, cost: Cost) -> Self {
        let (width, height) = (frame.width(), frame.height());
        let columns = width.div_ceil(TILE);
        let mut slopes = Vec::with_capacity(columns * height.div_ceil(TILE));
        let mut bits = 0.0;
        let mut terms = [0.0; TERMS];
        for top in (0..height).step_by(TILE) {
            for left in (0..width).step_by(TILE * LANES) {
                let right = width.min(left + TILE * LANES);
                let bottom = height.min(top + TILE);
                if right - left < TILE * LANES || bottom - top < TILE {
                    terms.fill(0.0);
                }
                for y in top..bottom {
                    let a = &frame.row(y)[left..right];
                    let b = &prediction[y * width + left..][..right - left];
                    load(&mut terms[(y - top) * TILE * LANES..][..TILE * LANES], a, b);
                }
                transform(&mut terms);
                let (lane_bits, lane_slopes) = weigh(&terms, cost);
                let lanes = (right - left).div_ceil(TILE);
                bits += lane_bits[..lanes].iter().sum::<f32>();
                slopes.extend_from_slice(&lane_slopes[..lanes]);
            }
        }
        Self { bits, slopes }
    }
}

/// Differences of a row, so that equal columns of the tiles lie side by side.
fn load(terms: &mut [f32], a: &[u8], b: &[u8]) {
    for (lane, (a, b)) in a.chunks(TILE).zip(b.chunks(TILE)).enumerate() {
        for (x, (&a, &b)) in a.iter().zip(b).enumerate() {
            terms[x * LANES + lane] = (a as i32 - b as i32) as f32;
        }
    }
}

/// Walsh-Hadamard transform of the lanes' tiles, without the factor 1/8.
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

/// Bits and slopes of the tiles.
fn weigh(terms: &[f32; TERMS], cost: Cost) -> ([f32; LANES], [f32; LANES]) {
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
    let mut slopes = [0.0; LANES];
    for k in 0..LANES {
        // Where nothing is left, the slope is that of a small error.
        let share = (coded[k] + 1e-6) / (squares[k] + 1e-6);
        slopes[k] = 0.5 * std::f32::consts::LOG2_E * share / cost.floor();
    }
    (bits, slopes)
}

/// log2 of a positive, normal number, to about 0.01.
#[inline(always)]
fn log2(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000) - 1.0;
    exponent as f32 + m * (1.0 + (1.0 - m) * (0.424 - 0.160 * m))
}
