//! Refinement of a whole field on what it predicts.
//!
//! Around the present field the prediction is linear in the vectors (image gradient times bilinear
//! weight), so the squared error is a quadratic form that couples each vector with its eight
//! neighbours. It is summed up once per pass; vectors then move in it, one after the other and
//! several times over, weighing the change of error against the bits.

use super::cost::{Cost, median_neighbour};
use super::residual::{Residual, TILE};
use crate::motion::compensate::predict_plane;
use crate::motion::geometry::{Axis, Kind};
use crate::motion::plane::{Padded, Plane};
use crate::motion::{MAX_COMPONENT, Vector};

const LANES: usize = 8;
const PASSES: usize = 4;
const SWEEPS: usize = 3;
/// How far from the point of linearisation the model is believed, in quarter samples.
const TRUST: f32 = 6.0;

pub(crate) struct Refiner<'a> {
    reference: &'a Padded<u8>,
    frame: Plane<'a, u8>,
    cost: Cost,
}

impl<'a> Refiner<'a> {
    pub fn new(reference: &'a Padded<u8>, frame: Plane<'a, u8>, cost: Cost) -> Self {
        Self { reference, frame, cost }
    }

    /// Bits of the residual when the prediction is the reference as it is.
    pub fn still_cost(&self) -> f32 {
        let rows = (0..self.frame.height())
            .flat_map(|y| &self.reference.from(0, y as i32)[..self.frame.width()]);
        let prediction: Vec<u8> = rows.copied().collect();
        Residual::new(&prediction, &self.frame, self.cost).bits
    }

    /// The refined field and its cost in bits, residual included.
    pub fn refine(&self, start: Vec<Vector>, step: usize) -> (Vec<Vector>, f32) {
        let columns = self.frame.width().div_ceil(step);
        let try_field = |field: &[Vector]| {
            let prediction = self.predict(field, step);
            let residual = Residual::new(&prediction, &self.frame, self.cost);
            let bits = residual.bits + self.field_cost(field, columns);
            (prediction, residual, bits)
        };
        let mut best = start;
        let (mut prediction, mut residual, mut bits) = try_field(&best);
        for _ in 0..PASSES {
            let model = self.model(&prediction, &residual.slopes, step);
            let candidate = model.descend(&best, self.cost);
            if candidate == best {
                break;
            }
            let tried = try_field(&candidate);
            if tried.2 >= bits {
                break;
            }
            best = candidate;
            (prediction, residual, bits) = tried;
        }
        (best, bits)
    }

    fn predict(&self, vectors: &[Vector], step: usize) -> Vec<u8> {
        let columns = self.frame.width().div_ceil(step);
        predict_plane(self.reference, vectors, columns, step, Kind::Luma, 8)
    }

    fn field_cost(&self, vectors: &[Vector], columns: usize) -> f32 {
        let bits = |(k, v): (usize, &Vector)| {
            let predicted = median_neighbour(vectors, columns, k / columns, k % columns);
            self.cost.vector(*v, predicted)
        };
        vectors.iter().enumerate().map(bits).sum()
    }

    fn model(&self, prediction: &[u8], weights: &[f32], step: usize) -> Model {
        let (width, height) = (self.frame.width(), self.frame.height());
        let (columns, rows) = (width.div_ceil(step), height.div_ceil(step));
        let horizontal = Axis::new(width, step, columns, Kind::Luma);
        let vertical = Axis::new(height, step, rows, Kind::Luma);
        let tile_columns = width.div_ceil(TILE);
        let mut model = Model::new(rows, columns);
        let mut row = RowTerms::new(width);
        let unit = 2.0 * step as f32;
        for v in &vertical.spans {
            let mut patches = vec![Moments::default(); horizontal.spans.len()];
            for y in v.start..v.end {
                let weights = &weights[y / TILE * tile_columns..][..tile_columns];
                row.fill(prediction, &self.frame, y, weights);
                let b = (v.weight + 2 * (y - v.start) as i32) as f32 / unit;
                for (h, moments) in horizontal.spans.iter().zip(&mut patches) {
                    let sums = row.sums(h.start, h.end, h.weight as f32 / unit, 2.0 / unit);
                    moments.add(&sums, b);
                }
            }
            for (h, moments) in horizontal.spans.iter().zip(&patches) {
                model.add([v.low, v.high], [h.low, h.high], moments);
            }
        }
        model
    }
}

/// Gradient products and gradient times error of one row of samples, each times the row's weights.
struct RowTerms {
    /// xx, xy, yy, x · error, y · error; long enough for whole groups of lanes.
    terms: [Vec<f32>; 5],
}

/// Sums over samples: three gradient products times 1, a, a², and two error products times 1, a.
type RowSums = ([[f32; 3]; 3], [[f32; 2]; 2]);

impl RowTerms {
    fn new(width: usize) -> Self {
        Self { terms: std::array::from_fn(|_| vec![0.0; width.next_multiple_of(LANES)]) }
    }

    fn fill(&mut self, prediction: &[u8], frame: &Plane<u8>, y: usize, weights: &[f32]) {
        let (width, height) = (frame.width(), frame.height());
        let row = |y: usize| &prediction[y * width..][..width];
        let (above, here, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1)));
        let now = frame.row(y);
        let [xx, xy, yy, xe, ye] = &mut self.terms;
        let mut term = |x: usize, left: u8, right: u8, weight: f32| {
            let gx = 0.5 * (right as i32 - left as i32) as f32;
            let gy = 0.5 * (below[x] as i32 - above[x] as i32) as f32;
            let e = (now[x] as i32 - here[x] as i32) as f32;
            let (wx, wy) = (weight * gx, weight * gy);
            xx[x] = wx * gx;
            xy[x] = wx * gy;
            yy[x] = wy * gy;
            xe[x] = wx * e;
            ye[x] = wy * e;
        };
        for (tile, &weight) in weights.iter().enumerate() {
            for x in tile * TILE..(tile * TILE + TILE).min(width) {
                term(x, here[x.saturating_sub(1)], here[(x + 1).min(width - 1)], weight);
            }
        }
    }

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
struct Model {
    rows: usize,
    columns: usize,
    /// xx, xy, yy of each vector with its neighbours above left … below right.
    hessian: Vec<[[f32; 3]; 9]>,
    gradient: Vec<[f32; 2]>,
}

impl Model {
    fn new(rows: usize, columns: usize) -> Self {
        let cells = rows * columns;
        Self { rows, columns, hessian: vec![[[0.0; 3]; 9]; cells], gradient: vec![[0.0; 2]; cells] }
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
    fn descend(&self, start: &[Vector], cost: Cost) -> Vec<Vector> {
        let mut field = start.to_vec();
        for sweep in 0..SWEEPS {
            let mut moved = false;
            for k in 0..field.len() {
                // Every other sweep runs backwards, so that good vectors spread both ways.
                let cell = if sweep % 2 == 0 { k } else { field.len() - 1 - k };
                moved |= self.move_vector(cell, start, &mut field, cost);
            }
            if !moved {
                break;
            }
        }
        field
    }

    fn move_vector(&self, cell: usize, start: &[Vector], field: &mut [Vector], cost: Cost) -> bool {
        let (row, column) = (cell / self.columns, cell % self.columns);
        let origin = start[cell];
        let mut g = self.gradient[cell];
        let mut neighbours = [origin; 8];
        let mut count = 0;
        for (r, c, near) in self.neighbours(row, column) {
            let other = r * self.columns + c;
            neighbours[count] = field[other];
            count += 1;
            let d = [0, 1].map(|k| (field[other][k] - start[other][k]) as f32);
            let [xx, xy, yy] = self.hessian[cell][near];
            g[0] -= xx * d[0] + xy * d[1];
            g[1] -= xy * d[0] + yy * d[1];
        }
        let [xx, xy, yy] = self.hessian[cell][4];
        let error = |d: [f32; 2]| {
            d[0] * d[0] * xx + 2.0 * d[0] * d[1] * xy + d[1] * d[1] * yy
                - 2.0 * (g[0] * d[0] + g[1] * d[1])
        };
        let determinant = xx * yy - xy * xy + 1e-6 * (1.0 + xx + yy);
        let optimum =
            [(yy * g[0] - xy * g[1]) / determinant, (xx * g[1] - xy * g[0]) / determinant]
                .map(|d| d.clamp(-TRUST, TRUST).round() as i16);
        let present = field[cell];
        let mut best = present;
        let mut best_bits = f32::INFINITY;
        let mut consider = |v: Vector| {
            let v = v.map(|c| c.clamp(-MAX_COMPONENT, MAX_COMPONENT));
            let d = [0, 1].map(|k| (v[k] - origin[k]) as f32);
            if d[0].abs() > TRUST || d[1].abs() > TRUST {
                return;
            }
            field[cell] = v;
            let bits = error(d) + self.local_bits(row, column, field, cost);
            if bits < best_bits {
                (best, best_bits) = (v, bits);
            }
        };
        consider(present);
        let optimum = [0, 1].map(|k| origin[k] + optimum[k]);
        consider(optimum);
        for (dx, dy) in [(0, -1), (-1, 0), (1, 0), (0, 1)] {
            consider([optimum[0] + dx, optimum[1] + dy]);
        }
        for &v in &neighbours[..count] {
            consider(v);
            consider([v[0], optimum[1]]);
            consider([optimum[0], v[1]]);
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

    /// Bits of the vector at a cell and of those predicted from it.
    fn local_bits(&self, row: usize, column: usize, field: &[Vector], cost: Cost) -> f32 {
        let bits = |r: usize, c: usize| {
            let predicted = median_neighbour(field, self.columns, r, c);
            cost.vector(field[r * self.columns + c], predicted)
        };
        let mut sum = bits(row, column);
        if column + 1 < self.columns {
            sum += bits(row, column + 1);
        }
        if row + 1 < self.rows {
            for c in column.saturating_sub(1)..(column + 2).min(self.columns) {
                sum += bits(row + 1, c);
            }
        }
        sum
    }
}
