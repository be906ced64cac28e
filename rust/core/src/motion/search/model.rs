//! A local model of how a field's error depends on its vectors.
//!
//! Around the present field the prediction is linear in the vectors (image gradient times bilinear
//! weight), so the squared error is a quadratic form that couples each vector with its eight
//! neighbours. It is summed up once; vectors then move in it, one after the other and several times
//! over, weighing the change of error against the bits.

use rayon::prelude::*;

use super::local::LocalPrices;
use super::moments::{Layout, Moments, sum_spans};
use super::prices::{Prices, clamp};
use super::residual::TILE;
use crate::motion::Vector;
use crate::motion::compensate::PARALLEL;
use crate::motion::field::prediction;
use crate::motion::geometry::{Lattice, Span};
use crate::motion::plane::Padded;

const SWEEPS: usize = 3;
const QUICK_SWEEPS: usize = 2;
/// How far from the point of linearisation the model is believed, in quarter samples.
const TRUST: f32 = 6.0;

/// From sums over a span of 1, w and w², w the weight of its end: those of the products of the
/// weights of start and start, start and end, end and end.
#[inline(always)]
fn products([one, w, square]: [f32; 3]) -> [f32; 3] {
    [one - 2.0 * w + square, w - square, square]
}

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
        frame: &Padded<u8>,
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
        let layout = Layout::new(prediction, frame);
        let columns = frame.width().div_ceil(TILE);
        let sum_row = |v: &Span| sum_spans(&layout, weights, columns, lattice, v);
        let spans = &lattice.vertical.spans;
        let moments: Vec<Vec<Moments>> = if prediction.len() < PARALLEL {
            spans.iter().map(sum_row).collect()
        } else {
            spans.par_iter().map(sum_row).collect()
        };
        for (v, row) in spans.iter().zip(&moments) {
            for (h, moments) in lattice.horizontal.spans.iter().zip(row) {
                model.add([v.low, v.high], [h.low, h.high], moments);
            }
        }
        model
    }

    /// Adds the samples between the centres of cells of these rows and columns.
    fn add(&mut self, rows: [usize; 2], columns: [usize; 2], moments: &Moments) {
        // Of each gradient product, `[down][across]` with the pairs of ends that share in it.
        let mut shares = [[[0.0; 3]; 3]; 3];
        for (share, sums) in shares.iter_mut().zip(&moments.products) {
            let [one, w, square] = [products(sums[0]), products(sums[1]), products(sums[2])];
            for across in 0..3 {
                let column = products([one[across], w[across], square[across]]);
                for down in 0..3 {
                    share[down][across] = column[down] / 16.0;
                }
            }
        }
        for (p, q) in (0..4).flat_map(|p| (0..4).map(move |q| (p, q))) {
            let (down, across) = (p / 2 + q / 2, p % 2 + q % 2);
            let (r, c) = (rows[p / 2], columns[p % 2]);
            let near = (rows[q / 2] + 1 - r) * 3 + columns[q % 2] + 1 - c;
            let block = &mut self.hessian[r * self.columns + c][near];
            for (out, share) in block.iter_mut().zip(&shares) {
                *out += share[down][across];
            }
        }
        for (k, sums) in moments.errors.iter().enumerate() {
            let [[one, a], [b, ab]] = *sums;
            let shares = [one - a - b + ab, a - ab, b - ab, ab];
            for (p, share) in shares.into_iter().enumerate() {
                let cell = rows[p / 2] * self.columns + columns[p % 2];
                self.gradient[cell][k] += share / 4.0;
            }
        }
    }

    /// Adds the error of another frame whose vectors are `factor` times these.
    pub fn add_scaled(&mut self, other: &Self, factor: f32) {
        let terms = self.hessian.iter_mut().zip(&other.hessian);
        for (sum, &term) in terms.flat_map(|(sum, term)| sum.iter_mut().zip(term)) {
            (0..3).for_each(|k| sum[k] += factor * factor * term[k]);
        }
        for (sum, &term) in self.gradient.iter_mut().zip(&other.gradient) {
            (0..2).for_each(|k| sum[k] += factor * term[k]);
        }
    }

    /// The field after some sweeps of moving each vector to where it costs least.
    pub fn descend(
        &self,
        start: &[Vector],
        prices: Prices,
        thorough: bool,
        mut relation: Option<Relation>,
    ) -> Vec<Vector> {
        let mut field = start.to_vec();
        // Whether anything around a cell has moved since it was last looked at.
        let mut stale = vec![true; field.len()];
        for sweep in 0..if thorough { SWEEPS } else { QUICK_SWEEPS } {
            for k in 0..field.len() {
                // Every other sweep runs backwards, so that good vectors spread both ways.
                let cell = if sweep % 2 == 0 { k } else { field.len() - 1 - k };
                let moved = std::mem::take(&mut stale[cell])
                    && self.move_vector(
                        cell,
                        start,
                        &mut field,
                        prices,
                        thorough,
                        relation.as_mut(),
                    );
                if moved {
                    for (r, c, _) in self.neighbours(cell / self.columns, cell % self.columns) {
                        stale[r * self.columns + c] = true;
                    }
                }
            }
        }
        field
    }

    fn move_vector(
        &self,
        cell: usize,
        start: &[Vector],
        field: &mut [Vector],
        Prices { weight, shift }: Prices,
        thorough: bool,
        relation: Option<&mut Relation>,
    ) -> bool {
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
        let unit = f32::from(1u8 << shift);
        let optimum = [0, 1].map(|k| {
            let units = (optimum[k].clamp(-TRUST, TRUST) / unit).round() as i16;
            clamp(origin[k] + (units << shift), shift)
        });
        if optimum == present && tries.count == 1 {
            // The neighbours are alike, too.
            return false;
        }
        tries.add(optimum);
        if thorough {
            for k in 1..tries.count {
                let v = tries.vectors[k];
                tries.add([v[0], optimum[1]]);
                tries.add([optimum[0], v[1]]);
            }
            for (dx, dy) in [(0, -1), (-1, 0), (1, 0), (0, 1)] {
                tries.add([
                    clamp(optimum[0] + (dx << shift), shift),
                    clamp(optimum[1] + (dy << shift), shift),
                ]);
            }
        } else {
            let [x, y] = prediction(field, self.columns, row, column);
            tries.add([x, y]);
            tries.add([x, optimum[1]]);
            tries.add([optimum[0], y]);
        }
        let size = [self.rows, self.columns];
        if let Some(relation) = &relation {
            tries.add(relation.near(cell, shift));
        }
        let prices = LocalPrices::new(field, size, row, column, shift);
        let others =
            relation.as_ref().map(|r| LocalPrices::new(&r.differences, size, row, column, shift));
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
            let mut bits = error + weight * prices.of(v, (best_bits - error) / weight);
            if let (Some(relation), Some(others)) = (&relation, &others)
                && bits < best_bits
            {
                let difference = relation.difference(cell, v);
                bits += weight * others.of(difference, (best_bits - bits) / weight);
            }
            if bits < best_bits {
                (best, best_bits) = (v, bits);
            }
        }
        field[cell] = best;
        if let Some(relation) = relation {
            relation.differences[cell] = relation.difference(cell, best);
        }
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

/// A field that is told from the one that is moved: as differences to so many times that.
#[derive(Clone)]
pub(super) struct Relation {
    other: Vec<Vector>,
    factor: i16,
    /// As the field is now.
    differences: Vec<Vector>,
}

impl Relation {
    pub fn new(field: &[Vector], other: &[Vector], factor: i16) -> Self {
        let mut out = Self { other: other.to_vec(), factor, differences: Vec::new() };
        out.differences = (0..field.len()).map(|cell| out.difference(cell, field[cell])).collect();
        out
    }

    fn difference(&self, cell: usize, v: Vector) -> Vector {
        [0, 1].map(|k| self.other[cell][k] - self.factor * v[k])
    }

    /// The vector at which the difference is about zero.
    fn near(&self, cell: usize, shift: u32) -> Vector {
        self.other[cell].map(|c| {
            let units = f32::from(c) / f32::from(self.factor * (1 << shift));
            clamp((units.round() as i16) << shift, shift)
        })
    }

    pub fn differences(&self) -> &[Vector] {
        &self.differences
    }
}

/// Vectors to try, each once.
#[derive(Default)]
struct Tries {
    vectors: [Vector; 24],
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
