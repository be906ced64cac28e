//! Sizes of pictures.

use crate::bitstream::SequenceHeader;
use crate::motion::blocks::CELL;

/// Size of the pictures, in luma samples, and bits of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub width: usize,
    pub height: usize,
    pub bit_depth: u32,
}

impl Geometry {
    /// Of a sequence's pictures.
    pub fn of(header: &SequenceHeader) -> Self {
        Self {
            width: header.width as usize,
            height: header.height as usize,
            bit_depth: header.bit_depth.into(),
        }
    }

    /// Pictures are coded in whole cells.
    pub fn coded_width(&self) -> usize {
        self.width.next_multiple_of(CELL)
    }

    pub fn coded_height(&self) -> usize {
        self.height.next_multiple_of(CELL)
    }

    /// Rows and columns of cells.
    pub fn cells(&self) -> (usize, usize) {
        (self.height.div_ceil(CELL), self.width.div_ceil(CELL))
    }

    /// Rows and columns of vectors so many luma samples apart.
    pub fn grid(&self, step: usize) -> (usize, usize) {
        (self.coded_height().div_ceil(step), self.coded_width().div_ceil(step))
    }
}
