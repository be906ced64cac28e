//! Blocks that a frame takes from another, beside or instead of its own samples.
//!
//! Forward blocks mend the prediction of a frame where the field, which bends but does not tear,
//! cannot follow what moves; they come from the reference. Blocks between the frames of a unit come
//! from its last frame and join the prediction of its first. `docs/bitstream.md`, "Blocks", is the specification; how blocks are found
//! (`search`) is the encoder's own affair.

mod adjoint;
mod apply;
mod code;
mod search;
mod tables;

pub use adjoint::adjoint;
pub use apply::apply;
pub use code::{decode, encode};
pub use search::search;

use super::{MAX_COMPONENT, Vector};
use crate::error::{Error, Result};

/// Edge of a cell in luma samples.
pub const CELL: usize = 16;

/// What becomes of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cell {
    /// It stays as it is.
    #[default]
    Kept,
    /// One block.
    Whole(Blend, Vector),
    /// A block for each quarter, in the order of reading.
    Quarters(Blend, [Vector; 4]),
}

/// How a block meets the samples that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blend {
    /// The mean of both.
    Mean,
    /// The block alone.
    Replace,
}

impl Cell {
    fn vectors(&self) -> &[Vector] {
        match self {
            Self::Kept => &[],
            Self::Whole(_, vector) => std::slice::from_ref(vector),
            Self::Quarters(_, vectors) => vectors,
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self, Self::Kept)
    }
}

/// The blocks of one frame, by cells of 16 × 16 luma samples from the top left.
///
/// Vectors are in quarter luma samples, from the block to its match in the other frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    rows: usize,
    columns: usize,
    cells: Vec<Cell>,
}

impl Blocks {
    /// Fails unless there are `rows` × `columns` cells and no component exceeds
    /// [`MAX_COMPONENT`].
    pub fn new(rows: usize, columns: usize, cells: Vec<Cell>) -> Result<Self> {
        if rows.checked_mul(columns) != Some(cells.len()) {
            let count = cells.len();
            return Err(Error::invalid(format!("{count} cells for {rows} rows of {columns}")));
        }
        let mut components = cells.iter().flat_map(|cell| cell.vectors()).flatten();
        if let Some(c) = components.find(|c| c.unsigned_abs() > MAX_COMPONENT as u16) {
            return Err(Error::invalid(format!(
                "block vector component {c} is outside -{MAX_COMPONENT} to {MAX_COMPONENT}"
            )));
        }
        Ok(Self { rows, columns, cells })
    }

    /// Rows of cells.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of cells.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All cells, row by row.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }
}

/// Largest component in units of `2^shift` quarter samples.
fn limit(shift: u32) -> i32 {
    i32::from(MAX_COMPONENT) >> shift
}

/// What predicts vectors where no neighbour does, from quarter samples to units of `2^shift`.
fn in_units(guesses: &[Vector], cells: usize, shift: u32) -> Result<Vec<[i32; 2]>> {
    if guesses.len() != cells {
        return Err(Error::invalid(format!("{} guesses for {cells} cells", guesses.len())));
    }
    let limit = limit(shift);
    let unit = |c: i16| (i32::from(c) >> shift).clamp(-limit, limit);
    Ok(guesses.iter().map(|guess| guess.map(unit)).collect())
}

fn check_shift(shift: u32) -> Result<()> {
    if shift > 2 {
        return Err(Error::invalid(format!("motion shift must be 0, 1 or 2, not {shift}")));
    }
    Ok(())
}
