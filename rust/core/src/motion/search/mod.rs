//! How the encoder finds a field. Not normative: any field is legal.
//!
//! Whole-sample block search down a pyramid of luma gives each cell a vector; then the field as a
//! whole is refined on what it really predicts, vectors interpolated between cells, by a local
//! quadratic model of the error. Everything is judged in bits: those of the vectors, and an
//! estimate of those of the residual.

pub(super) mod block;
pub(super) mod cost;
mod effort;
pub(super) mod input;
mod joint;
mod local;
mod model;
mod moments;
mod prices;
pub(super) mod pyramid;
mod refine;
mod residual;

use super::plane::{Plane, Sample};
use super::{Field, STEPS, Vector};
use crate::error::{Error, Result};
use block::Blocks;
use cost::Cost;
pub use effort::Effort;
use effort::Plan;
use input::{checked, planes};
pub use joint::{half, search_halves, search_related};
use prices::{Prices, clamp};
use pyramid::Pyramid;
use refine::Refiner;

/// What bits of vectors count for on reduced pictures, where vectors are shorter than in the stream.
/// Found on training clips.
const REDUCED_WEIGHT: f32 = 1.5;

/// A finer grid on which the first frames need so many times the bits is given up.
const MARGIN: f32 = 1.04;

/// The motion of `frames` from `reference`, all luma planes of one size.
///
/// `lagrangian` is the price of a bit in squared 8-bit code values. With `step` 0 the best grid
/// step is chosen, and the result has step 0 if no field is worth its bits; otherwise the result
/// has that step. Vectors are multiples of `2^shift` quarter samples, shift 0, 1 or 2, and priced as
/// coded in such units.
pub fn search<S: Sample>(
    reference: Plane<S>,
    frames: &[Plane<S>],
    bit_depth: u32,
    lagrangian: f32,
    step: usize,
    shift: u32,
    effort: Effort,
) -> Result<Field> {
    checked(&reference, frames, bit_depth, lagrangian, shift)?;
    if step != 0 && !STEPS.contains(&step) {
        return Err(Error::invalid(format!("motion step must be 0, 16, 32 or 64, not {step}")));
    }
    let samples = planes(&reference, frames, bit_depth);
    let plane = |samples| Plane::new(reference.width(), reference.height(), samples);
    let planes = samples.iter().map(|samples| plane(samples)).collect::<Result<Vec<_>>>()?;
    Ok(search_8_bits(planes[0], &planes[1..], lagrangian, step, shift, effort.plan()))
}

fn search_8_bits(
    reference: Plane<u8>,
    frames: &[Plane<u8>],
    lagrangian: f32,
    step: usize,
    shift: u32,
    plan: Plan,
) -> Field {
    let (width, height) = (reference.width(), reference.height());
    let cost = Cost::new(lagrangian);
    let reference = Pyramid::new(&reference);
    let pyramids: Vec<Pyramid> = frames.iter().map(Pyramid::new).collect();
    let own_shift = shift;
    let refiners = |level: usize, cost: Cost, plan: Plan| -> Vec<Refiner> {
        // A sample of a halved picture is two: its vectors have fewer bits that way, too.
        let shift = shift.saturating_sub(level as u32);
        let weight = if level as u32 > own_shift { REDUCED_WEIGHT } else { 1.0 };
        let prices = Prices { weight, shift };
        let frames = pyramids.iter().map(|frame| &frame.levels[level]);
        frames.map(|f| Refiner::new(&reference.levels[level], f, cost, plan, prices)).collect()
    };
    let level = plan.level.min(reference.levels.len() - 1);
    let mut blocks: Vec<[Vec<Vector>; 3]> = Vec::new();
    for frame in &pyramids {
        blocks.push(Blocks::search(&reference, frame, cost, level, blocks.last()));
    }
    let small = refiners(level, cost.reduced(level), plan);
    let Choice { step: best, bits: small_bits, fields } =
        choose(&small, blocks, step, level, plan.thorough);
    let plan = Plan { thorough: true, ..plan };
    let full = refiners(0, cost, plan);
    let (rows, columns) = (height.div_ceil(best), width.div_ceil(best));
    let finish = |(refiner, field): (&Refiner, Vec<Vector>)| {
        // An odd last row or column is missing in half the size, perhaps with cells of its own.
        let (small_rows, small_columns) = small[0].grid_size(best >> level);
        let enlarged = (0..rows * columns).map(|cell| {
            let (row, column) = (cell / columns, cell % columns);
            let v = field[row.min(small_rows - 1) * small_columns + column.min(small_columns - 1)];
            v.map(|c| clamp(c << level, shift))
        });
        refiner.finish(enlarged.collect(), best)
    };
    let (fields, bits): (Vec<_>, Vec<f32>) = full.iter().zip(fields).map(finish).unzip();
    if step == 0 {
        // Hardly ever looked at: at full size only if it is not far off on the reduced one.
        let still = |refiners: &[Refiner]| refiners.iter().map(Refiner::still_bits).sum::<f32>();
        let total = |bits: &[f32]| bits.iter().sum::<f32>();
        if still(&small) <= 2.0 * total(&small_bits) && still(&full) <= total(&bits) {
            return Field::still(frames.len());
        }
    }
    Field { step: best, frames: frames.len(), rows, columns, vectors: fields.concat() }
}

/// The wanted step or the best one, with fields in the units of the level; `thorough` keeps trying
/// where others give up.
fn choose(
    refiners: &[Refiner],
    mut blocks: Vec<[Vec<Vector>; 3]>,
    step: usize,
    level: usize,
    thorough: bool,
) -> Choice {
    let mut best: Option<Choice> = None;
    let mut coarser: Option<Vec<Vec<Vector>>> = None;
    for k in (0..STEPS.len()).rev() {
        let mut choice = Choice { step: STEPS[k], bits: Vec::new(), fields: Vec::new() };
        for (index, refiner) in refiners.iter().enumerate() {
            let start = coarser.as_ref().map(|c| c[index].as_slice());
            let blocks = std::mem::take(&mut blocks[index][k]);
            // Where the first frame loses by it, the others hardly ever gain enough.
            let most = match &best {
                Some(best) if step == 0 && !thorough => {
                    MARGIN * best.upto(index) - choice.bits.iter().sum::<f32>()
                }
                _ => f32::INFINITY,
            };
            let (field, bits) = refiner.refine(start, blocks, STEPS[k] >> level, most);
            choice.bits.push(bits);
            choice.fields.push(field);
            if bits > most {
                break;
            }
        }
        let wanted =
            step == STEPS[k] || step == 0 && best.as_ref().is_none_or(|best| choice.beats(best));
        coarser = Some(choice.fields.clone());
        if wanted {
            best = Some(choice);
        }
        // Where half the step does not pay, a quarter hardly ever does.
        if wanted == (step != 0) {
            break;
        }
    }
    best.expect("the first step is the best so far")
}

/// A grid step with the fields of the frames and what they cost.
struct Choice {
    step: usize,
    bits: Vec<f32>,
    fields: Vec<Vec<Vector>>,
}

impl Choice {
    /// Bits of the first frames, up to one.
    fn upto(&self, index: usize) -> f32 {
        self.bits[..=index].iter().sum()
    }

    /// Whether it has as many frames and needs fewer bits.
    fn beats(&self, other: &Self) -> bool {
        let total = |choice: &Self| choice.bits.iter().sum::<f32>();
        self.bits.len() == other.bits.len() && total(self) < total(other)
    }
}
