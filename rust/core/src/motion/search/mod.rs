//! How the encoder finds a field. Not normative: any field is legal.
//!
//! Whole-sample block search down a pyramid of luma gives each cell a vector; then the field as a
//! whole is refined on what it really predicts, vectors interpolated between cells, by a local
//! quadratic model of the error. Everything is judged in bits: those of the vectors, and an
//! estimate of those of the residual.

mod block;
mod cost;
mod pyramid;
mod refine;
mod residual;

use super::compensate::{check_depth, pad};
use super::plane::{Plane, Sample};
use super::{Field, STEPS, Vector};
use crate::error::{Error, Result};
use block::Blocks;
use cost::Cost;
use pyramid::Pyramid;
use refine::Refiner;

/// The motion of `frames` from `reference`, all luma planes of one size.
///
/// `lagrangian` is the price of a bit in squared 8-bit code values. With `step` 0 the best grid
/// step is chosen, and the result has step 0 if no field is worth its bits; otherwise the result
/// has that step.
pub fn search<S: Sample>(
    reference: Plane<S>,
    frames: &[Plane<S>],
    bit_depth: u32,
    lagrangian: f32,
    step: usize,
) -> Result<Field> {
    check_depth::<S>(bit_depth)?;
    if !(lagrangian.is_finite() && lagrangian > 0.0) {
        return Err(Error::invalid(format!("lagrangian must be positive, not {lagrangian}")));
    }
    if step != 0 && !STEPS.contains(&step) {
        return Err(Error::invalid(format!("motion step must be 0, 16, 32 or 64, not {step}")));
    }
    let (width, height) = (reference.width(), reference.height());
    for (index, frame) in frames.iter().enumerate() {
        if (frame.width(), frame.height()) != (width, height) {
            return Err(Error::invalid(format!(
                "frame {index} is {} x {}, its reference {width} x {height}",
                frame.width(),
                frame.height()
            )));
        }
    }
    let reference = to_8_bits(&reference, bit_depth);
    let frames: Vec<Vec<u8>> = frames.iter().map(|f| to_8_bits(f, bit_depth)).collect();
    let plane = |samples| Plane::new(width, height, samples);
    let reference = plane(&reference)?;
    let frames = frames.iter().map(|f| plane(f)).collect::<Result<Vec<_>>>()?;
    Ok(search_8_bits(reference, &frames, lagrangian, step))
}

/// The search looks at the upper 8 bits only: a finer scale would not change the vectors.
fn to_8_bits<S: Sample>(plane: &Plane<S>, bit_depth: u32) -> Vec<u8> {
    plane.samples().iter().map(|&s| (s.into() >> (bit_depth - 8)).min(255) as u8).collect()
}

fn search_8_bits(
    reference: Plane<u8>,
    frames: &[Plane<u8>],
    lagrangian: f32,
    step: usize,
) -> Field {
    let (width, height) = (reference.width(), reference.height());
    let cost = Cost::new(lagrangian);
    let pyramid = Pyramid::new(&reference);
    let padded = pad(&reference);
    let mut found: [Vec<Vec<Vector>>; 3] = Default::default();
    let mut bits = [0.0; 3];
    let mut still = 0.0;
    for (index, frame) in frames.iter().enumerate() {
        let refiner = Refiner::new(&padded, *frame, cost);
        still += refiner.still_cost();
        let before = (index > 0).then(|| found.each_ref().map(|f| f[index - 1].as_slice()));
        let blocks = Blocks::search(&pyramid, &Pyramid::new(frame), cost, before);
        for (k, start) in blocks.into_iter().enumerate() {
            if step != 0 && step != STEPS[k] {
                found[k].push(start);
                continue;
            }
            let (field, field_bits) = refiner.refine(start, STEPS[k]);
            bits[k] += field_bits;
            found[k].push(field);
        }
    }
    let best = match STEPS.iter().position(|&s| s == step) {
        Some(k) => k,
        None => (0..3).min_by(|&a, &b| bits[a].total_cmp(&bits[b])).unwrap_or(0),
    };
    if step == 0 && still <= bits[best] {
        return Field::still(frames.len());
    }
    let step = STEPS[best];
    let (rows, columns) = (height.div_ceil(step), width.div_ceil(step));
    let vectors = std::mem::take(&mut found[best]).concat();
    Field { step, frames: frames.len(), rows, columns, vectors }
}
