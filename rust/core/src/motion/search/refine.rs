//! Refinement of a whole field on what it predicts.

use std::ops::Range;

use rayon::prelude::*;

use super::cost::Cost;
use super::effort::Plan;
use super::model::{Model, Relation};
use super::prices::Prices;
use super::residual::{Residual, TILE};
use crate::motion::Vector;
use crate::motion::compensate::{PARALLEL, predict_area};
use crate::motion::field::price;
use crate::motion::geometry::{Area, Kind, Lattice};
use crate::motion::plane::Padded;

/// Vectors that differ by more than this, in quarter samples, are too far apart for the model to
/// get from one to the other.
const FAR: i16 = 2;
/// Neighbours that differ by no more than this move as one.
const ALIKE: i16 = 12;
/// How many times the bits that a field may have a field may need before the last steps.
const HOPE: f32 = 1.1;
/// Rows that are predicted and assessed at a time.
const BAND: usize = 64;

/// Refines the fields of one frame.
pub(crate) struct Refiner<'a> {
    reference: &'a Padded<u8>,
    frame: &'a Padded<u8>,
    cost: Cost,
    plan: Plan,
    prices: Prices,
}

/// A field on its grid, with what it predicts and costs.
pub(crate) struct Candidate {
    pub field: Vec<Vector>,
    /// Vectors and residual.
    pub bits: f32,
    prediction: Vec<u8>,
    residual: Residual,
}

/// The grid that is being refined.
pub(super) struct Grid {
    rows: usize,
    columns: usize,
    step: usize,
    lattice: Lattice,
}

impl<'a> Refiner<'a> {
    pub fn new(
        reference: &'a Padded<u8>,
        frame: &'a Padded<u8>,
        cost: Cost,
        plan: Plan,
        prices: Prices,
    ) -> Self {
        Self { reference, frame, cost, plan, prices }
    }

    fn whole(&self) -> Area {
        Area { columns: 0..self.frame.width(), rows: 0..self.frame.height() }
    }

    /// Bits of the residual when the prediction is the reference as it is.
    pub fn still_bits(&self) -> f32 {
        let rows: Vec<&[u8]> = (0..self.frame.height()).map(|y| self.reference.row(y)).collect();
        let prediction = rows.concat();
        Residual::new(&prediction, self.frame, &self.whole(), self.cost).bits.iter().sum()
    }

    /// The best field found with this step, and its bits, residual included.
    ///
    /// Begins with the refined field of twice the step, if there is one, and takes over what is
    /// better in `blocks`. Stops early where it will hardly get below `most` bits.
    pub fn refine(
        &self,
        coarser: Option<&[Vector]>,
        blocks: Vec<Vector>,
        step: usize,
        most: f32,
    ) -> (Vec<Vector>, f32) {
        let grid = self.grid(step);
        let mut best = match coarser {
            None => self.assess(&grid, blocks),
            Some(coarser) => {
                let start = self.assess(&grid, self.interpolated(&grid, coarser));
                let (start, _) = self.descend(&grid, start, self.plan.first_passes);
                if start.bits > HOPE * most {
                    return (start.field, start.bits);
                }
                self.take_over(&grid, start, &blocks)
            }
        };
        (best, _) = self.descend(&grid, best, self.plan.passes);
        (best.field, best.bits)
    }

    /// Last passes at full size. The very last is not looked at, unless there is time; those before
    /// must have helped.
    pub fn finish(&self, field: Vec<Vector>, step: usize) -> (Vec<Vector>, f32) {
        let grid = self.grid(step);
        let (best, helps) = self.descend(&grid, self.assess(&grid, field), self.plan.last_passes);
        let last = self.plan.trusting && helps;
        (if last { self.moved(&grid, &best) } else { best.field }, best.bits)
    }

    /// Rows and columns of cells.
    pub fn grid_size(&self, step: usize) -> (usize, usize) {
        (self.frame.height().div_ceil(step), self.frame.width().div_ceil(step))
    }

    pub(super) fn grid(&self, step: usize) -> Grid {
        let size = [self.frame.width(), self.frame.height()];
        let (rows, columns) = self.grid_size(step);
        let lattice = Lattice::new(size, [rows, columns], step, Kind::Luma);
        Grid { rows, columns, step, lattice }
    }

    pub(super) fn assess(&self, grid: &Grid, field: Vec<Vector>) -> Candidate {
        let (width, height) = (self.frame.width(), self.frame.height());
        let mut prediction = vec![0; width * height];
        let band = |(index, out): (usize, &mut [u8])| {
            let area =
                Area { columns: 0..width, rows: index * BAND..height.min((index + 1) * BAND) };
            predict_area(self.reference, &grid.lattice, &field, &area, 8, self.plan.held, out);
            Residual::new(out, self.frame, &area, self.cost)
        };
        let bands: Vec<Residual> = if prediction.len() < PARALLEL {
            prediction.chunks_mut(width * BAND).enumerate().map(band).collect()
        } else {
            prediction.par_chunks_mut(width * BAND).enumerate().map(band).collect()
        };
        let mut residual = Residual::default();
        bands.into_iter().for_each(|band| residual.append(band));
        let bits = residual.bits.iter().sum::<f32>() + self.price(grid, &field);
        Candidate { field, bits, prediction, residual }
    }

    /// What vectors cost.
    pub(super) fn price(&self, grid: &Grid, field: &[Vector]) -> f32 {
        let Prices { weight, shift } = self.prices;
        let prices = (0..field.len())
            .map(|k| price(field, grid.columns, k / grid.columns, k % grid.columns, shift));
        weight * prices.sum::<f32>()
    }

    fn predict(&self, grid: &Grid, field: &[Vector], area: &Area) -> Vec<u8> {
        let mut out = vec![0; area.samples()];
        predict_area(self.reference, &grid.lattice, field, area, 8, self.plan.held, &mut out);
        out
    }

    /// Passes of moving all vectors in the model around the present field, while that helps; whether
    /// it did to the last.
    fn descend(&self, grid: &Grid, mut best: Candidate, passes: usize) -> (Candidate, bool) {
        for _ in 0..passes {
            let field = self.moved(grid, &best);
            if field == best.field {
                return (best, false);
            }
            let next = self.assess(grid, field);
            if next.bits >= best.bits {
                return (best, false);
            }
            best = next;
        }
        (best, true)
    }

    /// The field after one pass.
    fn moved(&self, grid: &Grid, from: &Candidate) -> Vec<Vector> {
        self.descended(&self.model(grid, from), &from.field, None)
    }

    /// How the error depends on the vectors around a field.
    pub(super) fn model(&self, grid: &Grid, from: &Candidate) -> Model {
        let slopes = &from.residual.slopes;
        Model::new(&from.prediction, slopes, self.frame, &grid.lattice, grid.rows)
    }

    /// The field around which a model is, moved.
    pub(super) fn descended(
        &self,
        model: &Model,
        field: &[Vector],
        relation: Option<Relation>,
    ) -> Vec<Vector> {
        model.descend(field, self.prices, self.plan.thorough, relation)
    }

    /// The field of twice the step on this grid.
    pub(super) fn interpolated(&self, grid: &Grid, coarser: &[Vector]) -> Vec<Vector> {
        let size = [self.frame.width(), self.frame.height()];
        grid.interpolate(coarser, size, self.prices.shift)
    }

    /// Takes over those vectors of `others` that are far from the field's own and pay: first things
    /// that move as one, whose vectors make no sense one at a time, then single vectors.
    fn take_over(&self, grid: &Grid, mut best: Candidate, others: &[Vector]) -> Candidate {
        let gains: Vec<bool> = (0..others.len())
            .map(|cell| {
                distance(best.field[cell], others[cell]) > FAR
                    && self.gains(grid, &best, cell, others[cell])
            })
            .collect();
        for group in grid.groups(gains.clone(), others) {
            self.take_group(grid, &mut best, others, &group);
        }
        for cell in 0..others.len() {
            let promising = gains[cell] || self.plan.thorough;
            if promising && distance(best.field[cell], others[cell]) > FAR {
                self.take_group(grid, &mut best, others, &[cell]);
            }
        }
        best
    }

    /// Whether a vector, whole samples only, predicts the cell itself clearly better than what is
    /// there.
    fn gains(&self, grid: &Grid, best: &Candidate, cell: usize, v: Vector) -> bool {
        let (width, height) = (self.frame.width(), self.frame.height());
        let (left, top) = (cell % grid.columns * grid.step, cell / grid.columns * grid.step);
        let (right, bottom) = (width.min(left + grid.step), height.min(top + grid.step));
        let [dx, dy] = v.map(|c| i32::from(c >> 2));
        let from = (left as i32 + dx).clamp(0, (width + left - right) as i32);
        let (mut present, mut proposed) = (0, 0);
        for y in top..bottom {
            let now = &self.frame.row(y)[left..right];
            let row = (y as i32 + dy).clamp(0, height as i32 - 1);
            present += sum_differences(now, &best.prediction[y * width + left..]);
            proposed += sum_differences(now, self.reference.from(from, row));
        }
        5 * proposed < 4 * present
    }

    fn take_group(&self, grid: &Grid, best: &mut Candidate, others: &[Vector], group: &[usize]) {
        let width = self.frame.width();
        let cells = grid.bounds(group);
        let area = grid.reach(&cells, [width, self.frame.height()]);
        let Prices { weight, shift } = self.prices;
        let before = weight * grid.price(&best.field, &cells, shift) + best.bits_of(&area, width);
        let own: Vec<Vector> = group.iter().map(|&cell| best.field[cell]).collect();
        for &cell in group {
            best.field[cell] = others[cell];
        }
        let prediction = self.predict(grid, &best.field, &area);
        let residual = Residual::new(&prediction, self.frame, &area, self.cost);
        let change = weight * grid.price(&best.field, &cells, shift)
            + residual.bits.iter().sum::<f32>()
            - before;
        if change < 0.0 {
            best.put(&area, width, &prediction, &residual);
            best.bits += change;
        } else {
            for (&cell, own) in group.iter().zip(own) {
                best.field[cell] = own;
            }
        }
    }
}

fn sum_differences(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum()
}

/// The larger difference of the two components.
fn distance(a: Vector, b: Vector) -> i16 {
    (a[0] - b[0]).abs().max((a[1] - b[1]).abs())
}

impl Candidate {
    pub fn residual_bits(&self) -> f32 {
        self.residual.bits.iter().sum()
    }

    /// The tiles of an area: for each of their rows, where it is in the whole.
    fn tile_rows(area: &Area, width: usize) -> impl Iterator<Item = Range<usize>> {
        let columns = width.div_ceil(TILE);
        let (left, right) = (area.columns.start / TILE, area.columns.end.div_ceil(TILE));
        (area.rows.start / TILE..area.rows.end.div_ceil(TILE))
            .map(move |row| row * columns + left..row * columns + right)
    }

    fn bits_of(&self, area: &Area, width: usize) -> f32 {
        Self::tile_rows(area, width).flat_map(|row| &self.residual.bits[row]).sum()
    }

    fn put(&mut self, area: &Area, width: usize, prediction: &[u8], residual: &Residual) {
        for (y, row) in area.rows.clone().zip(prediction.chunks_exact(area.width())) {
            self.prediction[y * width..][area.columns.clone()].copy_from_slice(row);
        }
        let columns = area.width().div_ceil(TILE);
        for (k, row) in Self::tile_rows(area, width).enumerate() {
            let from = k * columns..(k + 1) * columns;
            self.residual.bits[row.clone()].copy_from_slice(&residual.bits[from.clone()]);
            self.residual.slopes[row].copy_from_slice(&residual.slopes[from]);
        }
    }
}

impl Grid {
    /// The field of twice the step, interpolated at this grid's centres, in multiples of `2^shift`.
    fn interpolate(&self, coarser: &[Vector], size: [usize; 2], shift: u32) -> Vec<Vector> {
        let [width, height] = size.map(|length| length.div_ceil(2 * self.step));
        let near = |i: usize, count: usize| {
            let other = (i / 2 + i % 2 * 2).saturating_sub(1);
            [i / 2, other.min(count - 1)]
        };
        let vector = |cell: usize| {
            let rows = near(cell / self.columns, height);
            let columns = near(cell % self.columns, width);
            [0, 1].map(|k| {
                let at = |r: usize, c: usize| i32::from(coarser[rows[r] * width + columns[c]][k]);
                let sum = 9 * at(0, 0) + 3 * (at(0, 1) + at(1, 0)) + at(1, 1);
                (((sum + (8 << shift)) >> (4 + shift)) << shift) as i16
            })
        };
        (0..self.rows * self.columns).map(vector).collect()
    }

    /// Connected cells among those that are `left` whose vectors are alike; no single ones.
    fn groups(&self, mut left: Vec<bool>, vectors: &[Vector]) -> Vec<Vec<usize>> {
        let mut groups = Vec::new();
        for first in 0..left.len() {
            if !std::mem::take(&mut left[first]) {
                continue;
            }
            let mut group = vec![first];
            let mut next = 0;
            while next < group.len() {
                let cell = group[next];
                next += 1;
                let (row, column) = (cell / self.columns, cell % self.columns);
                let near = [
                    (row > 0).then(|| cell - self.columns),
                    (row + 1 < self.rows).then(|| cell + self.columns),
                    (column > 0).then(|| cell - 1),
                    (column + 1 < self.columns).then(|| cell + 1),
                ];
                for other in near.into_iter().flatten() {
                    if left[other] && distance(vectors[other], vectors[cell]) <= ALIKE {
                        left[other] = false;
                        group.push(other);
                    }
                }
            }
            if group.len() > 1 {
                groups.push(group);
            }
        }
        groups
    }

    /// The rectangle of cells, by columns and rows, around a group.
    fn bounds(&self, group: &[usize]) -> Area {
        let around = |values: &mut dyn Iterator<Item = usize>| {
            let (low, high) =
                values.fold((usize::MAX, 0), |(low, high), v| (low.min(v), high.max(v)));
            low..high + 1
        };
        Area {
            columns: around(&mut group.iter().map(|cell| cell % self.columns)),
            rows: around(&mut group.iter().map(|cell| cell / self.columns)),
        }
    }

    /// The tiles that vectors of these cells have a share in.
    fn reach(&self, cells: &Area, [width, height]: [usize; 2]) -> Area {
        let side = |cells: &Range<usize>, count: usize, length: usize| {
            let half = self.step / 2;
            let start = if cells.start == 0 { 0 } else { cells.start * self.step - half };
            let end = if cells.end == count { length } else { cells.end * self.step + half };
            start / TILE * TILE..end.next_multiple_of(TILE).min(length)
        };
        Area {
            columns: side(&cells.columns, self.columns, width),
            rows: side(&cells.rows, self.rows, height),
        }
    }

    /// Bits of the vectors of these cells and of those predicted from them.
    fn price(&self, field: &[Vector], cells: &Area, shift: u32) -> f32 {
        let columns =
            cells.columns.start.saturating_sub(1)..self.columns.min(cells.columns.end + 1);
        (cells.rows.start..self.rows.min(cells.rows.end + 1))
            .flat_map(|row| columns.clone().map(move |column| (row, column)))
            .map(|(row, column)| price(field, self.columns, row, column, shift))
            .sum()
    }
}
