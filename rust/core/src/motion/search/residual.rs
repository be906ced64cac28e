//! What a residual costs: an estimate of the bits of its transform coefficients.

use super::cost::{Cost, log2};
use crate::motion::geometry::Area;
use crate::motion::plane::Padded;
use crate::motion::wide::wide;

/// Edge of the squares that are transformed.
pub(crate) const TILE: usize = 8;
/// Samples of the two squares that are transformed side by side.
const LANES: usize = 2 * TILE;
type Terms = [[i16; LANES]; TILE];

/// What the residual of some tiles costs and how that would change.
#[derive(Clone, Default)]
pub(crate) struct Residual {
    /// Bits of each tile, row by row.
    pub bits: Vec<f32>,
    /// Bits per unit of squared error of each tile.
    pub slopes: Vec<f32>,
}

impl Residual {
    /// Adds tiles further down.
    pub fn append(&mut self, mut below: Self) {
        self.bits.append(&mut below.bits);
        self.slopes.append(&mut below.slopes);
    }

    /// Of the tiles of an area, whose prediction is given row by row.
    pub fn new(prediction: &[u8], frame: &Padded<u8>, area: &Area, cost: Cost) -> Self {
        let mut residual = Self::default();
        measure(prediction, frame, area, cost, &mut residual);
        residual
    }
}

wide! {
    fn measure(
        prediction: &[u8],
        frame: &Padded<u8>,
        area: &Area,
        cost: Cost,
        out: &mut Residual,
    ) {
        let columns = area.width().div_ceil(TILE);
        for top in (0..area.height()).step_by(TILE) {
            for left in (0..area.width()).step_by(LANES) {
                let mut terms = load(prediction, frame, area, [left, top]);
                transform(&mut terms);
                weigh(&terms, cost, (columns - left / TILE).min(2), out);
            }
        }
    }
}

/// The differences of the tiles at (x, y) of the area; zeros outside.
#[inline(always)]
fn load(prediction: &[u8], frame: &Padded<u8>, area: &Area, [x, y]: [usize; 2]) -> Terms {
    let mut terms = [[0; LANES]; TILE];
    for (k, terms) in terms.iter_mut().enumerate().take(area.height() - y) {
        let a = &frame.row(area.rows.start + y + k)[area.columns.start + x..area.columns.end];
        let b = &prediction[(y + k) * area.width() + x..][..a.len()];
        match (a.first_chunk::<LANES>(), b.first_chunk::<LANES>()) {
            (Some(a), Some(b)) => subtract(a, b, terms),
            _ => subtract(a, b, terms),
        }
    }
    terms
}

#[inline(always)]
fn subtract(a: &[u8], b: &[u8], out: &mut [i16; LANES]) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = i16::from(a) - i16::from(b);
    }
}

/// Walsh-Hadamard transform of both tiles, without the factor 1/8: magnitudes up to 64 · 255.
#[inline(always)]
fn transform(terms: &mut Terms) {
    for stride in [1, 2, 4] {
        for k in (0..TILE).filter(|k| k & stride == 0) {
            let (a, b) = (terms[k], terms[k + stride]);
            for lane in 0..LANES {
                terms[k][lane] = a[lane] + b[lane];
                terms[k + stride][lane] = a[lane] - b[lane];
            }
        }
    }
    for row in terms {
        *row = across::<1>(*row);
        *row = across::<2>(*row);
        *row = across::<4>(*row);
    }
}

/// Sums, and differences in their place, of the lanes that are so far apart.
#[inline(always)]
fn across<const STRIDE: usize>(row: [i16; LANES]) -> [i16; LANES] {
    let mut out = [0; LANES];
    for k in 0..LANES {
        let sign = if k & STRIDE == 0 { 1 } else { -1 };
        out[k] = row[k ^ STRIDE] + sign * row[k];
    }
    out
}

/// Adds bits and slopes of the first `count` tiles.
#[inline(always)]
fn weigh(terms: &Terms, cost: Cost, count: usize, out: &mut Residual) {
    let scale = (1.0 / (cost.floor() * (TILE * TILE) as f32)).sqrt();
    let mut bits = [0.0; LANES];
    // Of s, the squares, and of 1 / (1 + s).
    let mut squares = [0.0; LANES];
    let mut small = [0.0; LANES];
    for rows in terms.as_chunks::<4>().0 {
        let mut s = [[0.0; LANES]; 4];
        for (s, row) in s.iter_mut().zip(rows) {
            for k in 0..LANES {
                let term = f32::from(row[k]) * scale;
                s[k] = term * term;
            }
        }
        let [a, b, c, d] = s;
        for k in 0..LANES {
            squares[k] += (a[k] + b[k]) + (c[k] + d[k]);
            let p = (1.0 + a[k]) * (1.0 + b[k]);
            let q = (1.0 + c[k]) * (1.0 + d[k]);
            small[k] += ((2.0 + a[k] + b[k]) * q + (2.0 + c[k] + d[k]) * p) / (p * q);
            bits[k] += 0.5 * log2(p * q);
        }
    }
    for tile in 0..count {
        let sum = |lanes: &[f32; LANES]| lanes[tile * TILE..][..TILE].iter().sum::<f32>();
        out.bits.push(sum(&bits) * cost.scale());
        let squares = sum(&squares);
        let coded = (TILE * TILE) as f32 - sum(&small);
        // Of hardly anything, the slope is that of a small error.
        let share = if squares < 0.01 { 1.0 } else { coded / squares };
        out.slopes.push(0.5 * std::f32::consts::LOG2_E * share * cost.scale() / cost.floor());
    }
}
