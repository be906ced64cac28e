//! Fields of two frames that are found together, since one says much of the other.

use super::cost::Cost;
use super::effort::Effort;
use super::input::{checked, planes};
use super::model::{Model, Relation};
use super::prices::{Prices, clamp};
use super::pyramid::Pyramid;
use super::refine::{Candidate, Grid, Refiner};
use crate::error::{Error, Result};
use crate::motion::{Field, Plane, STEPS, Sample, Vector};

/// Most passes of the model on a grid.
const PASSES: usize = 3;

/// The vector of the first frame where the last one's is `last`: half of it, rounded up.
pub fn half(last: Vector) -> Vector {
    last.map(|component| (component + 1) >> 1)
}

/// The last frame's motion by which both `frames`, with [`half`] of it for the first, are predicted
/// best, at a price for the last one's vectors alone.
///
/// Begins with `start`, a field of the last frame; the result has its step or a finer one. The
/// rest is as for [`search`](super::search).
///
/// # Errors
/// `InvalidArgument` as for `search`, and if `start` is not a field of one frame of that size, in
/// multiples of `2^shift` quarter samples.
pub fn search_halves<S: Sample>(
    reference: Plane<S>,
    frames: [Plane<S>; 2],
    bit_depth: u32,
    lagrangian: f32,
    start: &Field,
    shift: u32,
) -> Result<Field> {
    checked(&reference, &frames, bit_depth, lagrangian, shift)?;
    checked_start(&reference, start, 1, shift)?;
    let pyramids = pyramids(&reference, &frames, bit_depth)?;
    let [reference, first, last] = [0, 1, 2].map(|k| &pyramids[k].levels[0]);
    let prices = Prices { weight: 1.0, shift };
    let refiner =
        |frame| Refiner::new(reference, frame, Cost::new(lagrangian), Effort::Slow.plan(), prices);
    let halves = Halves { refiners: [refiner(first), refiner(last)] };
    let (step, vectors) = halves.refine(start.step(), start.vectors().to_vec());
    let [rows, columns] = [reference.height(), reference.width()].map(|n| n.div_ceil(step));
    Field::new(step, 1, rows, columns, vectors)
}

/// The motion of two `frames`, the last one's at the price that it has as differences to the first
/// one's or to twice these.
///
/// Begins with `start` and keeps its step. The rest is as for [`search`](super::search).
///
/// # Errors
/// `InvalidArgument` as for [`search`](super::search), and if `start` is not a field of two frames
/// of that size, in multiples of `2^shift` quarter samples.
pub fn search_related<S: Sample>(
    reference: Plane<S>,
    frames: [Plane<S>; 2],
    bit_depth: u32,
    lagrangian: f32,
    start: &Field,
    shift: u32,
) -> Result<Field> {
    checked(&reference, &frames, bit_depth, lagrangian, shift)?;
    checked_start(&reference, start, 2, shift)?;
    let pyramids = pyramids(&reference, &frames, bit_depth)?;
    let [reference, first, last] = [0, 1, 2].map(|k| &pyramids[k].levels[0]);
    let prices = Prices { weight: 1.0, shift };
    let refiner =
        |frame| Refiner::new(reference, frame, Cost::new(lagrangian), Effort::Slow.plan(), prices);
    let refiners = [refiner(first), refiner(last)];
    let grid = refiners[0].grid(start.step());
    let mut best = start.vectors().to_vec();
    let mut least = f32::INFINITY;
    for factor in [1, 2] {
        let related = Related { refiners: &refiners, grid: &grid, factor, shift };
        let (bits, fields) = related.refine(start.frame(0), start.frame(1));
        if bits < least {
            (least, best) = (bits, fields);
        }
    }
    Field::new(start.step(), 2, start.rows(), start.columns(), best)
}

/// Refines the fields of two frames, the last one's priced as differences to `factor` times the
/// first one's.
struct Related<'a> {
    refiners: &'a [Refiner<'a>; 2],
    grid: &'a Grid,
    factor: i16,
    shift: u32,
}

impl Related<'_> {
    /// Bits and vectors of both frames: each moved in turn, as long as that helps.
    fn refine(&self, first: &[Vector], last: &[Vector]) -> (f32, Vec<Vector>) {
        let [of_first, of_last] = self.refiners;
        let mut first = of_first.assess(self.grid, first.to_vec());
        let mut last = of_last.assess(self.grid, last.to_vec());
        let mut least = self.bits(&first, &last);
        for turn in 0..2 * PASSES {
            let before = least;
            if turn % 2 == 0 {
                let next = of_last.assess(self.grid, self.moved_last(&first, &last));
                let bits = self.bits(&first, &next);
                if bits < least {
                    (least, last) = (bits, next);
                }
            } else {
                let next = of_first.assess(self.grid, self.moved_first(&first, &last));
                let bits = self.bits(&next, &last);
                if bits < least {
                    (least, first) = (bits, next);
                }
            }
            if turn > 0 && least == before {
                break;
            }
        }
        (least, [first.field, last.field].concat())
    }

    fn bits(&self, first: &Candidate, last: &Candidate) -> f32 {
        let relation = Relation::new(&first.field, &last.field, self.factor);
        let price = self.refiners[1].price(self.grid, relation.differences());
        first.bits + last.residual_bits() + price
    }

    fn moved_first(&self, first: &Candidate, last: &Candidate) -> Vec<Vector> {
        let relation = Relation::new(&first.field, &last.field, self.factor);
        let refiner = &self.refiners[0];
        refiner.descended(&refiner.model(self.grid, first), &first.field, Some(relation))
    }

    /// The last frame's differences are moved as if they were vectors.
    fn moved_last(&self, first: &Candidate, last: &Candidate) -> Vec<Vector> {
        let relation = Relation::new(&first.field, &last.field, self.factor);
        let refiner = &self.refiners[1];
        let model = refiner.model(self.grid, last);
        let differences = refiner.descended(&model, relation.differences(), None);
        let sum = |(d, v): (&Vector, &Vector)| {
            [0, 1].map(|k| clamp(d[k] + self.factor * v[k], self.shift))
        };
        differences.iter().zip(&first.field).map(sum).collect()
    }
}

fn checked_start<S: Sample>(
    reference: &Plane<S>,
    start: &Field,
    frames: usize,
    shift: u32,
) -> Result<()> {
    let (width, height) = (reference.width(), reference.height());
    let cells = |length: usize| length.div_ceil(start.step().max(1));
    let fits = start.frames() == frames
        && start.step() != 0
        && (start.rows(), start.columns()) == (cells(height), cells(width))
        && start.vectors().iter().flatten().all(|c| c % (1 << shift) == 0);
    if fits {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the search must begin with a field of {frames} frames of {width} x {height} in units of {} \
         quarter samples",
        1 << shift
    )))
}

/// Of reference and frames.
fn pyramids<S: Sample>(
    reference: &Plane<S>,
    frames: &[Plane<S>],
    bit_depth: u32,
) -> Result<Vec<Pyramid>> {
    let (width, height) = (reference.width(), reference.height());
    planes(reference, frames, bit_depth)
        .iter()
        .map(|samples| Ok(Pyramid::new(&Plane::new(width, height, samples)?)))
        .collect()
}

/// Refines one field for two frames.
struct Halves<'a> {
    refiners: [Refiner<'a>; 2],
}

/// A field with what it makes of both frames; `last` has the field itself.
struct Pair {
    first: Candidate,
    last: Candidate,
}

impl Pair {
    /// Both residuals, and the last frame's vectors.
    fn bits(&self) -> f32 {
        self.first.residual_bits() + self.last.bits
    }
}

impl Halves<'_> {
    /// Step and vectors; a finer grid is worth it more often than when each frame has its own.
    fn refine(&self, mut step: usize, field: Vec<Vector>) -> (usize, Vec<Vector>) {
        let last = &self.refiners[1];
        let mut best = self.descend(&last.grid(step), field);
        while step > STEPS[0] {
            let grid = last.grid(step / 2);
            let finer = self.descend(&grid, last.interpolated(&grid, &best.last.field));
            if finer.bits() >= best.bits() {
                break;
            }
            (step, best) = (step / 2, finer);
        }
        (step, best.last.field)
    }

    /// Moves all vectors as long as that helps.
    fn descend(&self, grid: &Grid, field: Vec<Vector>) -> Pair {
        let mut best = self.assess(grid, field);
        for _ in 0..PASSES {
            let field = self.moved(grid, &best);
            if field == best.last.field {
                break;
            }
            let next = self.assess(grid, field);
            if next.bits() >= best.bits() {
                break;
            }
            best = next;
        }
        best
    }

    fn assess(&self, grid: &Grid, field: Vec<Vector>) -> Pair {
        let [first, last] = &self.refiners;
        let halves = field.iter().copied().map(half).collect();
        Pair { first: first.assess(grid, halves), last: last.assess(grid, field) }
    }

    /// The field after one pass.
    fn moved(&self, grid: &Grid, from: &Pair) -> Vec<Vector> {
        let [first, last] = &self.refiners;
        let mut model: Model = last.model(grid, &from.last);
        model.add_scaled(&first.model(grid, &from.first), 0.5);
        last.descended(&model, &from.last.field, None)
    }
}
