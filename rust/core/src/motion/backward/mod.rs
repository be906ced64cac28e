//! Backward blocks: what the first frame of a unit takes from its last.
//!
//! Both frames of a unit come from one latent, but only the last is referred to, so it is coded
//! better. Where the first is poor, a block of it is replaced by its mean with a displaced block of
//! the last. Nothing refers to the result: it is only shown. `docs/bitstream.md`, "Backward blocks",
//! is the specification; how blocks are found (`search`) is the encoder's own affair.

mod apply;
mod code;
mod search;
mod tables;

pub use apply::apply;
pub use code::{decode, encode};
pub use search::search;

use super::{Field, MAX_COMPONENT, Vector};
use crate::error::{Error, Result};

/// Edge of a cell in luma samples.
pub const CELL: usize = 16;

/// What happens to a cell of the first frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cell {
    /// It stays as it is.
    #[default]
    Kept,
    /// It is averaged with one block of the last frame.
    Whole(Vector),
    /// Each quarter, in the order of reading, is averaged with a block of its own.
    Quarters([Vector; 4]),
}

impl Cell {
    fn vectors(&self) -> &[Vector] {
        match self {
            Self::Kept => &[],
            Self::Whole(vector) => std::slice::from_ref(vector),
            Self::Quarters(vectors) => vectors,
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self, Self::Kept)
    }
}

/// The backward blocks of one unit, by cells of 16 × 16 luma samples from the top left.
///
/// Vectors are in quarter luma samples, from the block to its match in the last frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backward {
    rows: usize,
    columns: usize,
    cells: Vec<Cell>,
}

impl Backward {
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
                "backward vector component {c} is outside -{MAX_COMPONENT} to {MAX_COMPONENT}"
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

/// Motion from the first frame to the last as the field has it, per cell, in units of `2^shift`
/// quarter samples: what vectors are predicted by where no neighbour has one.
fn derived(field: &Field, rows: usize, columns: usize, shift: u32) -> Vec<[i32; 2]> {
    if field.step() == 0 || field.frames() < 2 {
        return vec![[0; 2]; rows * columns];
    }
    let (first, last) = (field.frame(0), field.frame(field.frames() - 1));
    let at = |row: usize, column: usize| {
        let row = (row * CELL / field.step()).min(field.rows() - 1);
        let cell = row * field.columns() + (column * CELL / field.step()).min(field.columns() - 1);
        let limit = limit(shift);
        let difference = |c: usize| i32::from(first[cell][c]) - i32::from(last[cell][c]);
        [0, 1].map(|c| (difference(c) >> shift).clamp(-limit, limit))
    };
    (0..rows * columns).map(|cell| at(cell / columns, cell % columns)).collect()
}

/// Largest component in units of `2^shift` quarter samples.
fn limit(shift: u32) -> i32 {
    i32::from(MAX_COMPONENT) >> shift
}
