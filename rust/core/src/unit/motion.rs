//! What predicts the frames of an inter unit.

use super::Picture;
use crate::Result;
use crate::motion::blocks::{self, Blocks, CELL};
use crate::motion::{Field, Sample, Vector, compensate};
use crate::network::FRAMES;

/// A field, and blocks where it does not hold.
pub(super) struct Motion {
    pub field: Field,
    /// For each frame, blocks of the reference that mend what the field predicts.
    pub forward: [Option<Blocks>; FRAMES],
    /// Blocks of the last frame that join the prediction of the first.
    pub between: Option<Blocks>,
}

impl Motion {
    /// Of a unit without any: the prediction is as the reference.
    pub fn still() -> Self {
        Self { field: Field::still(FRAMES), forward: [None, None], between: None }
    }

    /// The frames' predictions from the reference.
    pub fn predict<S: Sample>(
        &self,
        reference: &Picture<S>,
        bit_depth: u32,
    ) -> Result<[Picture<S>; FRAMES]> {
        let (width, height) = reference.size(0);
        let mut predicted = compensate(reference.planes()?, &self.field, bit_depth)?.into_iter();
        let mut next = |blocks: &Option<Blocks>| {
            let planes = predicted.next().unwrap_or_default();
            mend(Picture::new(width, height, planes)?, reference, blocks.as_ref(), bit_depth)
        };
        let [first, last] = &self.forward;
        Ok([next(first)?, next(last)?])
    }

    /// The first frame's prediction with its blocks of the last frame, whatever is known of that.
    pub fn join<S: Sample>(
        &self,
        first: Picture<S>,
        last: &Picture<S>,
        bit_depth: u32,
    ) -> Result<Picture<S>> {
        mend(first, last, self.between.as_ref(), bit_depth)
    }
}

/// `base` with the blocks from `other`.
fn mend<S: Sample>(
    base: Picture<S>,
    other: &Picture<S>,
    blocks: Option<&Blocks>,
    bit_depth: u32,
) -> Result<Picture<S>> {
    let Some(blocks) = blocks else { return Ok(base) };
    let (width, height) = base.size(0);
    let planes = blocks::apply(base.planes()?, other.planes()?, blocks, bit_depth)?;
    Picture::new(width, height, planes)
}

/// What the field says of the vectors of blocks, one for each cell: of a frame's forward blocks its
/// motion, of blocks between the frames (None) the first frame's less the last one's.
pub(super) fn guesses(
    field: &Field,
    frame: Option<usize>,
    (rows, columns): (usize, usize),
) -> Vec<Vector> {
    if field.step() == 0 {
        return vec![[0; 2]; rows * columns];
    }
    let at = |cell: usize| cell * CELL / field.step();
    let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    let places = cells.map(|(row, column)| at(row) * field.columns() + at(column));
    match frame {
        Some(frame) => places.map(|place| field.frame(frame)[place]).collect(),
        None => {
            let (first, last) = (field.frame(0), field.frame(FRAMES - 1));
            places.map(|place| [0, 1].map(|c| first[place][c] - last[place][c])).collect()
        }
    }
}
