//! What comes in, checked and at 8 bits.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::motion::compensate::check_depth;
use crate::motion::plane::{Plane, Sample};

/// What holds for every search.
pub(super) fn checked<S: Sample>(
    reference: &Plane<S>,
    frames: &[Plane<S>],
    bit_depth: u32,
    lagrangian: f32,
    shift: u32,
) -> Result<()> {
    check_depth::<S>(bit_depth)?;
    if !(lagrangian.is_finite() && lagrangian > 0.0) {
        return Err(Error::invalid(format!("lagrangian must be positive, not {lagrangian}")));
    }
    if shift > 2 {
        return Err(Error::invalid(format!("motion shift must be 0, 1 or 2, not {shift}")));
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
    Ok(())
}

/// The samples of reference and frames at 8 bits.
pub(super) fn planes<'a, S: Sample>(
    reference: &Plane<'a, S>,
    frames: &[Plane<'a, S>],
    bit_depth: u32,
) -> Vec<Cow<'a, [u8]>> {
    std::iter::once(reference).chain(frames).map(|plane| to_8_bits(plane, bit_depth)).collect()
}

/// The search looks at the upper 8 bits only: a finer scale would not change the vectors.
pub(in crate::motion) fn to_8_bits<'a, S: Sample>(
    plane: &Plane<'a, S>,
    bit_depth: u32,
) -> Cow<'a, [u8]> {
    match S::bytes(plane.samples()) {
        Some(samples) => Cow::Borrowed(samples),
        None => {
            let upper = |&sample: &S| (sample.into() >> (bit_depth - 8)).min(255) as u8;
            Cow::Owned(plane.samples().iter().map(upper).collect())
        }
    }
}
