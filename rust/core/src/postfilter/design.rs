//! Filters that are worth their bits.

use super::code::{Choice, HEADER_BITS, Mode, class_bits, neighbour};
use super::statistics::{Normal, gather};
use super::tables::{SPREADS, delta_bits};
use super::{CLASSES, Filter, Filters, ONE_BITS, TAPS, starts};
use crate::error::{Error, Result};
use crate::motion::compensate::check_depth;
use crate::motion::plane::{Plane, Sample};

/// How much of what was gathered counts on when another unit comes.
const KEEP: f64 = 0.9;

/// For how many units a change is taken to last, as a multiple of what was gathered, and at most.
const LASTS: (f64, f64) = (3.0, 24.0);

/// What an error in chroma counts for one in luma.
const CHROMA_WEIGHT: f64 = 2.0;

/// Fits filters to what has been decoded of a sequence.
#[derive(Clone, Debug)]
pub struct Designer {
    planes: [Vec<Normal>; 3],
    /// Units, the older the less.
    gathered: f64,
    units: u64,
}

impl Default for Designer {
    fn default() -> Self {
        Self { planes: [(); 3].map(|()| vec![Normal::default(); CLASSES]), gathered: 0.0, units: 0 }
    }
}

/// A frame's planes: Y, U, V.
pub type Planes<'a, S> = [Plane<'a, S>; 3];

impl Designer {
    /// Takes in the frames of a unit, as decoded and as they should be.
    ///
    /// # Errors
    /// `InvalidArgument` if the planes differ in size, or the bit depth is not one of the samples'
    /// type.
    pub fn observe<S: Sample>(
        &mut self,
        frames: &[(Planes<'_, S>, Planes<'_, S>)],
        bit_depth: u32,
    ) -> Result<()> {
        check_depth::<S>(bit_depth)?;
        let size = |plane: &Plane<S>| (plane.width(), plane.height());
        for (decoded, source) in frames {
            if let Some(k) = (0..3).find(|&k| size(&decoded[k]) != size(&source[k])) {
                let (a, b) = (size(&decoded[k]), size(&source[k]));
                return Err(Error::invalid(format!("plane {k} is {a:?}, its source {b:?}")));
            }
        }
        for (index, (decoded, source)) in frames.iter().enumerate() {
            let keep = if index == 0 { KEEP } else { 1.0 };
            for k in 0..3 {
                // Two frames take turns, which is quicker and says as much.
                let turns = [index, frames.len()];
                let moments = gather(&decoded[k], &source[k], turns, bit_depth);
                for (normal, moments) in self.planes[k].iter_mut().zip(&moments) {
                    normal.update(keep, frames.len() as f64, moments, bit_depth);
                }
            }
        }
        self.gathered = KEEP * self.gathered + 1.0;
        self.units += 1;
        Ok(())
    }

    /// What filters should follow `before` if a bit may cost so much squared error, in 8-bit codes.
    ///
    /// # Errors
    /// `InvalidArgument` unless there are [`DEFAULTS`](super::DEFAULTS) sets.
    pub fn design(
        &self,
        before: &Filters,
        defaults: &[Filters],
        lagrangian: f64,
    ) -> Result<Filters> {
        let starts = starts(before, defaults)?;
        let mut after = before.clone();
        if self.gathered == 0.0 {
            return Ok(after);
        }
        let lasts = (LASTS.0 * self.gathered).min(LASTS.1) / self.gathered;
        for (k, starts) in starts.into_iter().enumerate() {
            let weight = if k > 0 { CHROMA_WEIGHT } else { 1.0 };
            after.0[k] = design_plane(&self.planes[k], starts, lagrangian / (weight * lasts));
        }
        Ok(after)
    }

    /// How many units have been taken in.
    pub fn units(&self) -> u64 {
        self.units
    }

    /// What has been gathered: of each plane and class the products of what its taps see, and those
    /// with the error, summed, in squared 8-bit codes.
    pub fn moments(&self) -> impl Iterator<Item = (&[[f64; TAPS]; TAPS], &[f64; TAPS])> {
        self.planes.iter().flatten().map(|normal| (&normal.products, &normal.with_error))
    }
}

/// The cheapest in squared error plus `price` times bits.
fn design_plane(
    normals: &[Normal],
    starts: [&[Filter; CLASSES]; 4],
    price: f64,
) -> [Filter; CLASSES] {
    let costs = starts.map(|start| -> f64 {
        normals.iter().zip(start).map(|(normal, filter)| error(normal, filter)).sum()
    });
    let mut best = (costs[0], *starts[0]);
    let nearest = (1..costs.len()).min_by(|&a, &b| costs[a].total_cmp(&costs[b]));
    let optimal: Vec<Filter> = normals.iter().map(least_squares).collect();
    for start in [0, nearest.expect("there are defaults")] {
        for spread in 0..SPREADS {
            let (total, after) = design_from(normals, starts[start], &optimal, spread, price);
            if total < best.0 {
                best = (total, after);
            }
        }
    }
    best.1
}

fn design_from(
    normals: &[Normal],
    start: &[Filter; CLASSES],
    optimal: &[Filter],
    spread: u8,
    price: f64,
) -> (f64, [Filter; CLASSES]) {
    // Most classes keep what they start from; the second set of frequencies is for that.
    let choice = Choice { start: 0, spread, set: 1 };
    let mut after = *start;
    let mut total = f64::from(HEADER_BITS) * price;
    for class in 0..CLASSES {
        let bases = [start[class], neighbour(&after, class)];
        let candidates = Mode::ALL.map(|mode| {
            let base = bases[usize::from(mode.neighbour)];
            let filter = if mode.differs {
                refine(&normals[class], optimal[class], base, |tap, delta| {
                    price * delta_bits(spread, tap, delta)
                })
            } else {
                base
            };
            let bits = class_bits(choice, mode, base, filter);
            (error(&normals[class], &filter) + price * bits, filter)
        });
        let cheaper = |a: &(f64, Filter), b: &(f64, Filter)| a.0.total_cmp(&b.0);
        let (cost, filter) = candidates.into_iter().min_by(cheaper).expect("four modes");
        after[class] = filter;
        total += cost;
    }
    (total, after)
}

/// What a filter adds to the squared error; negative where it helps.
fn error(normal: &Normal, filter: &Filter) -> f64 {
    let value = filter.map(from_coefficient);
    let mut total = 0.0;
    for (i, row) in normal.products.iter().enumerate() {
        let along: f64 = row.iter().zip(value).map(|(product, x)| product * x).sum();
        total += value[i] * (along - 2.0 * normal.with_error[i]);
    }
    total
}

fn from_coefficient(coefficient: i8) -> f64 {
    f64::from(coefficient) / f64::from(1 << ONE_BITS)
}

/// The best coefficients, rounded.
fn least_squares(normal: &Normal) -> Filter {
    let mut matrix = normal.products;
    // Keeps what is barely determined small, and an empty class at zero.
    let trace: f64 = (0..TAPS).map(|i| matrix[i][i]).sum();
    (0..TAPS).for_each(|i| matrix[i][i] += 1.0 + 1e-4 * trace / TAPS as f64);
    let solution = solve(matrix, normal.with_error);
    let one = f64::from(1 << ONE_BITS);
    solution.map(|x| (x * one).round().clamp(f64::from(i8::MIN), f64::from(i8::MAX)) as i8)
}

/// Of a positive definite system, by Cholesky's decomposition.
fn solve(mut matrix: [[f64; TAPS]; TAPS], right: [f64; TAPS]) -> [f64; TAPS] {
    let mut x = right;
    for j in 0..TAPS {
        for k in 0..j {
            (j..TAPS).for_each(|i| matrix[i][j] -= matrix[i][k] * matrix[j][k]);
        }
        let root = matrix[j][j].max(f64::MIN_POSITIVE).sqrt();
        (j..TAPS).for_each(|i| matrix[i][j] /= root);
        x[j] = (x[j] - (0..j).map(|k| matrix[j][k] * x[k]).sum::<f64>()) / root;
    }
    for j in (0..TAPS).rev() {
        x[j] = (x[j] - (j + 1..TAPS).map(|k| matrix[k][j] * x[k]).sum::<f64>()) / matrix[j][j];
    }
    x
}

/// Steps from `start` to where error and the differences' bits are least together.
fn refine(
    normal: &Normal,
    start: Filter,
    base: Filter,
    price: impl Fn(usize, i32) -> f64,
) -> Filter {
    const SWEEPS: usize = 6;
    let mut filter = start;
    // Half the gradient of the error.
    let value = filter.map(from_coefficient);
    let mut gradient: [f64; TAPS] = std::array::from_fn(|i| {
        let along = normal.products[i].iter().zip(value).map(|(product, x)| product * x);
        along.sum::<f64>() - normal.with_error[i]
    });
    for _ in 0..SWEEPS {
        let mut moved = false;
        for tap in 0..TAPS {
            let (now, own) = (i32::from(filter[tap]), i32::from(base[tap]));
            let change = |to: i32| {
                let step = f64::from(to - now) / f64::from(1 << ONE_BITS);
                let error = step * (2.0 * gradient[tap] + step * normal.products[tap][tap]);
                (error + price(tap, to - own) - price(tap, now - own), to)
            };
            let range = i32::from(i8::MIN)..=i32::from(i8::MAX);
            let to = [own, now - 1, now + 1, now - 3, now + 3, (now + own) / 2];
            let changes = to.into_iter().filter(|to| range.contains(to)).map(change);
            let (gain, to) = changes.min_by(|a, b| a.0.total_cmp(&b.0)).expect("the base is one");
            if gain < -1e-9 {
                let step = f64::from(to - now) / f64::from(1 << ONE_BITS);
                let products = &normal.products[tap];
                gradient.iter_mut().zip(products).for_each(|(g, product)| *g += step * product);
                filter[tap] = to as i8;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    filter
}
