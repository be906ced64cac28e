//! The post-filter: small linear filters that bring what is shown nearer to the source.
//!
//! After a unit is decoded each 4 × 4 block of its frames is given a class by how its samples vary,
//! and every class of every plane has a filter of twelve coefficients, which the encoder fits to the
//! sequence by least squares and sends when that pays (Wiener filters of classes, as the adaptive
//! loop filter of VVC). Nothing refers to filtered frames. `docs/bitstream.md`, "Post-filter", is
//! the specification; how filters are found (`design`) is the encoder's own affair.

mod apply;
mod classes;
mod code;
mod design;
mod statistics;
mod tables;

use crate::error::{Error, Result};

pub use apply::apply;
pub use code::{decode, encode};
pub use design::Designer;

/// Coefficients of a filter.
pub const TAPS: usize = 12;

/// Classes of blocks.
pub const CLASSES: usize = ACTIVITIES * DIRECTIONS;

/// One class's filter, in 128ths: what the sum of two samples opposite each other, less twice the
/// one between them, adds to that.
pub type Filter = [i8; TAPS];

/// What filters may start from besides those of the unit before: sets that come with a model.
pub const DEFAULTS: usize = 3;

/// Edge of a block in samples.
const BLOCK: usize = 4;
/// Samples around a block that its class and its filter depend on.
const REACH: usize = 3;
/// Levels of activity.
const ACTIVITIES: usize = 6;
/// None, and two strengths of two kinds.
const DIRECTIONS: usize = 5;
/// A coefficient of one is 2 to this.
const ONE_BITS: u32 = 7;

/// Where the first sample of each pair lies, as rows below and columns right of the sample between;
/// the other lies opposite.
const OFFSETS: [[isize; 2]; TAPS] = [
    [0, 1],
    [0, 2],
    [0, 3],
    [1, -2],
    [1, -1],
    [1, 0],
    [1, 1],
    [1, 2],
    [2, -1],
    [2, 0],
    [2, 1],
    [3, 0],
];

/// How a block is turned before it is filtered, so that edges of all orientations share filters:
/// not at all, left for right, rows for columns. Coefficient k of a block belongs to the offset
/// `TURNS[turn][k]`.
const TURNS: [[usize; TAPS]; 3] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    [0, 1, 2, 7, 6, 5, 4, 3, 10, 9, 8, 11],
    [5, 9, 11, 8, 4, 0, 6, 10, 3, 1, 7, 2],
];

/// The filters of a picture: of Y, U and V, of each class. All zero, they change nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filters(pub [[Filter; CLASSES]; 3]);

impl Default for Filters {
    fn default() -> Self {
        Self([[[0; TAPS]; CLASSES]; 3])
    }
}

/// What the filters of each plane may start from: `before`, or one of `defaults`.
fn starts<'a>(
    before: &'a Filters,
    defaults: &'a [Filters],
) -> Result<[[&'a [Filter; CLASSES]; 1 + DEFAULTS]; 3]> {
    let [a, b, c] = defaults else {
        return Err(Error::invalid(format!("{} sets of filters, not {DEFAULTS}", defaults.len())));
    };
    Ok([0, 1, 2].map(|k| [&before.0[k], &a.0[k], &b.0[k], &c.0[k]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_take_offsets_to_offsets() {
        let turned: [fn([isize; 2]) -> [isize; 2]; 3] =
            [|offset| offset, |[down, right]| [down, -right], |[down, right]| [right, down]];
        for (turn, turned) in turned.iter().enumerate() {
            for (k, &offset) in OFFSETS.iter().enumerate() {
                let [down, right] = turned(offset);
                let place = OFFSETS[TURNS[turn][k]];
                assert!(place == [down, right] || place == [-down, -right], "{turn} {k}");
            }
        }
    }
}
