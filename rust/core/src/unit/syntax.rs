//! The motion of an inter unit in its stream: "Segments" of `docs/bitstream.md`.

use super::Geometry;
use super::motion::{Motion, guesses};
use crate::motion::{Field, MAX_COMPONENT, Vector, blocks, field};
use crate::network::FRAMES;
use crate::rans::Decoder;
use crate::{Error, Result};

const PRECISION_BITS: u32 = 2;

/// Largest shift: vectors are coded in units of `2^shift` quarter samples.
const COARSEST: u32 = 2;

/// Reads the motion of a unit whose vectors are `step` luma samples apart, 0 for no field.
///
/// # Errors
/// `Corrupt` for what no encoder writes.
pub(super) fn get_motion(
    decoder: &mut Decoder<'_>,
    step: usize,
    geometry: &Geometry,
) -> Result<Motion> {
    let shift = bits(decoder, PRECISION_BITS)?;
    if shift > COARSEST {
        return Err(Error::corrupt(
            0,
            format!("motion vectors in units of 2^{shift} quarter samples"),
        ));
    }
    let field = get_field(decoder, step, shift, geometry)?;
    let (rows, columns) = geometry.cells();
    let mut next = |frame| {
        let guesses = guesses(&field, frame, (rows, columns));
        blocks::decode(decoder, rows, columns, &guesses, shift)
    };
    let (forward, between) = ([next(Some(0))?, next(Some(1))?], next(None)?);
    Ok(Motion { field, forward, between })
}

fn get_field(
    decoder: &mut Decoder<'_>,
    step: usize,
    shift: u32,
    geometry: &Geometry,
) -> Result<Field> {
    if step == 0 {
        return Ok(Field::still(FRAMES));
    }
    let halved = bits(decoder, 1)? == 1;
    let (rows, columns) = geometry.grid(step);
    let coded = if halved { 1 } else { FRAMES };
    let mut vectors = field::decode(decoder, coded, rows, columns)?;
    for component in vectors.iter_mut().flatten() {
        let scaled = i32::from(*component) << shift;
        if scaled.abs() > MAX_COMPONENT.into() {
            let what = format!("a motion vector beyond {MAX_COMPONENT} quarter samples");
            return Err(Error::corrupt(0, what));
        }
        *component = scaled as i16;
    }
    if halved {
        // Half a quarter sample is rounded up.
        let half = |vector: &Vector| vector.map(|component| (component + 1) >> 1);
        let first: Vec<Vector> = vectors.iter().map(half).collect();
        vectors.splice(0..0, first);
    }
    Field::new(step, FRAMES, rows, columns, vectors)
}

/// A segment of its own.
fn bits(decoder: &mut Decoder<'_>, count: u32) -> Result<u32> {
    decoder.begin_segment();
    decoder.get_bits(count)
}
