//! A local model of how a field's error depends on its vectors.
//!
//! Around the present field the prediction is linear in the vectors (image gradient times bilinear
//! weight), so the squared error is a quadratic form that couples each vector with its eight
//! neighbours. It is summed up once; vectors then move in it, one after the other and several times
//! over, weighing the change of error against the bits.

use super::refine::{clamp, local_price};
use super::residual::TILE;
use crate::motion::Vector;
use crate::motion::geometry::{Lattice, Span};
use crate::motion::plane::Plane;
use crate::motion::wide::wide;

const LANES: usize = 8;
const SWEEPS: usize = 3;
/// How far from the point of linearisation the model is believed, in quarter samples.
const TRUST: f32 = 6.0;

wide! {
    /// Sums up the samples of the rows in `v`, for each horizontal span on its own.
    fn sum_rows(
        prediction: &[u8],
        weights: &[f32],
        frame: &Plane<u8>,
        lattice: &Lattice,
        v: &Span,
        patches: &mut [Moments],
    ) {
        let tile_columns = frame.width().div_ceil(TILE);
        let mut row = RowTerms::new(frame.width());
        let unit = 1.0 / (2 * lattice.step()) as f32;
        for y in v.start..v.end {
            let weights = &weights[y / TILE * tile_columns..][..tile_columns];
            row.fill(prediction, frame, y, weights);
            let b = (v.weight + 2 * (y - v.start) as i32) as f32 * unit;
            for (h, moments) in lattice.horizontal.spans.iter().zip(&mut *patches) {
                let sums = row.sums(h.start, h.end, h.weight as f32 * unit, 2.0 * unit);
                moments.add(&sums, b);
            }
        }
    }
}

/// Gradient products and gradient times error of one row of samples, each times the row's weights.
struct RowTerms {
    /// xx, xy, yy, x · error, y · error; long enough for whole groups of lanes.
    terms: [Vec<f32>; 5],
    framed: Vec<u8>,
    weights: Vec<f32>,
}

/// Sums over samples: three gradient products times 1, a, a², and two error products times 1, a.
type RowSums = ([[f32; 3]; 3], [[f32; 2]; 2]);

impl RowTerms {
    fn new(width: usize) -> Self {
        let length = width.next_multiple_of(LANES);
        Self {
            terms: std::array::from_fn(|_| vec![0.0; length]),
            framed: vec![0; width + 2],
            weights: vec![0.0; length],
        }
    }

    #[inline(always)]
    fn fill(&mut self, prediction: &[u8], frame: &Plane<u8>, y: usize, weights: &[f32]) {
        let (width, height) = (frame.width(), frame.height());
        let row = |y: usize| &prediction[y * width..][..width];
        let (above, here, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1)));
        let now = frame.row(y);
        let [xx, xy, yy, xe, ye] = self.terms.each_mut().map(|t| &mut t[..width]);
        // The row with its ends repeated, so that every sample has two neighbours.
        let framed = &mut self.framed[..width + 2];
        (framed[0], framed[width + 1]) = (here[0], here[width - 1]);
        framed[1..=width].copy_from_slice(here);
        for (weight, x) in self.weights.chunks_mut(TILE).zip(weights) {
            weight.fill(*x);
        }
        let weights = &self.weights[..width];
        let (left, right) = (&framed[..width], &framed[2..width + 2]);
        for x in 0..width {
            let gx = 0.5 * (i32::from(right[x]) - i32::from(left[x])) as f32;
            let gy = 0.5 * (i32::from(below[x]) - i32::from(above[x])) as f32;
            let e = (i32::from(now[x]) - i32::from(here[x])) as f32;
            let (wx, wy) = (weights[x] * gx, weights[x] * gy);
            xx[x] = wx * gx;
            xy[x] = wx * gy;
            yy[x] = wy * gy;
            xe[x] = wx * e;
            ye[x] = wy * e;
        }
    }

    #[inline(always)]
    fn sums(&self, start: usize, end: usize, first: f32, slope: f32) -> RowSums {
        let end = end.next_multiple_of(LANES).min(self.terms[0].len());
        let mut products = [[[0.0f32; LANES]; 3]; 3];
        let mut errors = [[[0.0f32; LANES]; 2]; 2];
        for x in (start..end).step_by(LANES) {
            let a: [f32; LANES] = std::array::from_fn(|k| first + slope * (x - start + k) as f32);
            for (sums, term) in products.iter_mut().zip(&self.terms[..3]) {
                let t: &[f32; LANES] = term[x..].first_chunk().expect("whole groups");
                for k in 0..LANES {
                    let ta = t[k] * a[k];
                    sums[0][k] += t[k];
                    sums[1][k] += ta;
                    sums[2][k] += ta * a[k];
                }
            }
            for (sums, term) in errors.iter_mut().zip(&self.terms[3..]) {
                let t: &[f32; LANES] = term[x..].first_chunk().expect("whole groups");
                for k in 0..LANES {
                    sums[0][k] += t[k];
                    sums[1][k] += t[k] * a[k];
                }
            }
        }
        let total = |lanes: [f32; LANES]| lanes.iter().sum();
        (products.map(|p| p.map(total)), errors.map(|e| e.map(total)))
    }
}

/// Sums over the samples between four cell centres, by powers of the weights across and down.
#[derive(Clone, Default)]
struct Moments {
    /// `[down][product][across]`.
    products: [[[f32; 3]; 3]; 3],
    errors: [[[f32; 2]; 2]; 2],
}

impl Moments {
    #[inline(always)]
    fn add(&mut self, (products, errors): &RowSums, b: f32) {
        for (power, out) in [1.0, b, b * b].into_iter().zip(&mut self.products) {
            for (o, s) in out.iter_mut().flatten().zip(products.iter().flatten()) {
                *o += power * s;
            }
        }
        for (power, out) in [1.0, b].into_iter().zip(&mut self.errors) {
            for (o, s) in out.iter_mut().flatten().zip(errors.iter().flatten()) {
                *o += power * s;
            }
        }
    }
}

/// Weights of the two ends of a span as polynomials of the position in it, and their products.
const LINEAR: [[f32; 2]; 2] = [[1.0, -1.0], [0.0, 1.0]];
const PRODUCT: [[[f32; 3]; 2]; 2] =
    [[[1.0, -2.0, 1.0], [0.0, 1.0, -1.0]], [[0.0, 1.0, -1.0], [0.0, 0.0, 1.0]]];

/// Error in bits as a quadratic form of the vectors' changes in quarter samples: for changes d,
/// d' H d - 2 g' d.
pub(crate) struct Model {
    rows: usize,
    columns: usize,
    /// xx, xy, yy of each vector with its neighbours above left … below right.
    hessian: Vec<[[f32; 3]; 9]>,
    gradient: Vec<[f32; 2]>,
}

impl Model {
    /// Around a field that predicts `prediction`. `weights` are bits per squared error of each tile.
    pub fn new(
        prediction: &[u8],
        weights: &[f32],
        frame: &Plane<u8>,
        lattice: &Lattice,
        rows: usize,
    ) -> Self {
        let cells = rows * lattice.columns;
        let mut model = Self {
            rows,
            columns: lattice.columns,
            hessian: vec![[[0.0; 3]; 9]; cells],
            gradient: vec![[0.0; 2]; cells],
        };
        let mut patches = Vec::new();
        for v in &lattice.vertical.spans {
            patches.clear();
            patches.resize(lattice.horizontal.spans.len(), Moments::default());
            sum_rows(prediction, weights, frame, lattice, v, &mut patches);
            for (h, moments) in lattice.horizontal.spans.iter().zip(&patches) {
                model.add([v.low, v.high], [h.low, h.high], moments);
            }
        }
        model
    }

    /// Adds the samples between the centres of cells of these rows and columns.
    fn add(&mut self, rows: [usize; 2], columns: [usize; 2], moments: &Moments) {
        for (p, q) in (0..4).flat_map(|p| (0..4).map(move |q| (p, q))) {
            let (down, across) = (PRODUCT[p / 2][q / 2], PRODUCT[p % 2][q % 2]);
            let (r, c) = (rows[p / 2], columns[p % 2]);
            let near = (rows[q / 2] + 1 - r) * 3 + columns[q % 2] + 1 - c;
            let block = &mut self.hessian[r * self.columns + c][near];
            for (by_product, weight) in moments.products.iter().zip(down) {
                for (out, by_power) in block.iter_mut().zip(by_product) {
                    let sum: f32 = by_power.iter().zip(across).map(|(m, a)| m * a).sum();
                    *out += sum * weight / 16.0;
                }
            }
        }
        for p in 0..4 {
            let (down, across) = (LINEAR[p / 2], LINEAR[p % 2]);
            let gradient = &mut self.gradient[rows[p / 2] * self.columns + columns[p % 2]];
            for (by_error, weight) in moments.errors.iter().zip(down) {
                for (out, by_power) in gradient.iter_mut().zip(by_error) {
                    let sum: f32 = by_power.iter().zip(across).map(|(m, a)| m * a).sum();
                    *out += sum * weight / 4.0;
                }
            }
        }
    }

    /// The field after some sweeps of moving each vector to where it costs least.
    pub fn descend(&self, start: &[Vector]) -> Vec<Vector> {
        let mut field = start.to_vec();
        for sweep in 0..SWEEPS {
            let mut moved = false;
            for k in 0..field.len() {
                // Every other sweep runs backwards, so that good vectors spread both ways.
                let cell = if sweep % 2 == 0 { k } else { field.len() - 1 - k };
                moved |= self.move_vector(cell, start, &mut field);
            }
            if !moved {
                break;
            }
        }
        field
    }

    fn move_vector(&self, cell: usize, start: &[Vector], field: &mut [Vector]) -> bool {
        let (row, column) = (cell / self.columns, cell % self.columns);
        let (origin, present) = (start[cell], field[cell]);
        let mut g = self.gradient[cell];
        let mut tries = Tries::default();
        tries.add(present);
        for (r, c, near) in self.neighbours(row, column) {
            let other = r * self.columns + c;
            if near % 2 == 1 {
                tries.add(field[other]);
            }
            let d = [0, 1].map(|k| f32::from(field[other][k] - start[other][k]));
            let [xx, xy, yy] = self.hessian[cell][near];
            g[0] -= xx * d[0] + xy * d[1];
            g[1] -= xy * d[0] + yy * d[1];
        }
        let [xx, xy, yy] = self.hessian[cell][4];
        let determinant = xx * yy - xy * xy + 1e-6 * (1.0 + xx + yy);
        let optimum =
            [(yy * g[0] - xy * g[1]) / determinant, (xx * g[1] - xy * g[0]) / determinant];
        let optimum =
            [0, 1].map(|k| clamp(origin[k] + optimum[k].clamp(-TRUST, TRUST).round() as i16));
        tries.add(optimum);
        for k in 1..tries.count {
            let v = tries.vectors[k];
            tries.add([v[0], optimum[1]]);
            tries.add([optimum[0], v[1]]);
        }
        for (dx, dy) in [(0, -1), (-1, 0), (1, 0), (0, 1)] {
            tries.add([clamp(optimum[0] + dx), clamp(optimum[1] + dy)]);
        }
        let mut best = present;
        let mut best_bits = f32::INFINITY;
        for &v in &tries.vectors[..tries.count] {
            let d = [0, 1].map(|k| f32::from(v[k] - origin[k]));
            if d[0].abs() > TRUST || d[1].abs() > TRUST {
                continue;
            }
            let error =
                d[0] * (d[0] * xx + 2.0 * d[1] * xy - 2.0 * g[0]) + d[1] * (d[1] * yy - 2.0 * g[1]);
            if error >= best_bits {
                continue;
            }
            field[cell] = v;
            let bits = error + local_price(field, [self.rows, self.columns], row, column);
            if bits < best_bits {
                (best, best_bits) = (v, bits);
            }
        }
        field[cell] = best;
        best != present
    }

    /// Row, column and index of the cells around one.
    fn neighbours(
        &self,
        row: usize,
        column: usize,
    ) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let (rows, columns) = (self.rows, self.columns);
        (0..9).filter(|&near| near != 4).filter_map(move |near| {
            let r = (row + near / 3).checked_sub(1).filter(|&r| r < rows)?;
            let c = (column + near % 3).checked_sub(1).filter(|&c| c < columns)?;
            Some((r, c, near))
        })
    }
}

/// Vectors to try, each once.
#[derive(Default)]
struct Tries {
    vectors: [Vector; 20],
    count: usize,
}

impl Tries {
    fn add(&mut self, v: Vector) {
        if !self.vectors[..self.count].contains(&v) {
            self.vectors[self.count] = v;
            self.count += 1;
        }
    }
}
