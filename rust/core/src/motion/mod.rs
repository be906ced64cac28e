//! Motion: the grid of vectors, the prediction it makes, how it is found and how it is coded.
//!
//! What a field means (`compensate`) and how it is coded are normative and exact integer
//! arithmetic; how it is found (`search`) is the encoder's own affair.

mod adjoint;
pub mod blocks;
pub(crate) mod compensate;
pub mod field;
mod geometry;
mod kernel;
pub(crate) mod plane;
mod search;
mod tables;
pub(crate) mod wide;

pub use adjoint::{Gradients, compensate_adjoint};
pub use compensate::compensate;
pub use plane::{Plane, Sample};
pub use search::{Effort, half, search, search_halves, search_related};

use crate::error::{Error, Result};

/// The grid steps a field may have, in luma samples.
pub const STEPS: [usize; 3] = [16, 32, 64];

/// Largest magnitude of a vector component, in quarter luma samples.
pub const MAX_COMPONENT: i16 = 2047;

/// (dx, dy) in quarter luma samples, from the predicted sample to the reference sample.
pub type Vector = [i16; 2];

/// The motion of some frames from one reference: one vector per grid cell and frame.
///
/// A field of step 0 has no vectors and stands for "as the reference".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    step: usize,
    frames: usize,
    rows: usize,
    columns: usize,
    vectors: Vec<Vector>,
}

impl Field {
    /// A field of vectors in the order frame, row, column.
    ///
    /// Fails unless `step` is 0 (then without rows and columns) or one of [`STEPS`], the number of
    /// vectors is right and no component exceeds [`MAX_COMPONENT`].
    pub fn new(
        step: usize,
        frames: usize,
        rows: usize,
        columns: usize,
        vectors: Vec<Vector>,
    ) -> Result<Self> {
        if step == 0 && (rows != 0 || columns != 0) {
            return Err(Error::invalid("a motion field of step 0 has no vectors"));
        }
        if step != 0 && !STEPS.contains(&step) {
            return Err(Error::invalid(format!("motion step must be 0, 16, 32 or 64, not {step}")));
        }
        let expected = frames.checked_mul(rows).and_then(|n| n.checked_mul(columns));
        if expected != Some(vectors.len()) {
            return Err(Error::invalid(format!(
                "{} motion vectors for {frames} frames of {rows} x {columns} cells",
                vectors.len()
            )));
        }
        if let Some(v) = vectors.iter().flatten().find(|c| c.unsigned_abs() > 2047) {
            return Err(Error::invalid(format!(
                "motion vector component {v} is outside -{MAX_COMPONENT} to {MAX_COMPONENT}"
            )));
        }
        Ok(Self { step, frames, rows, columns, vectors })
    }

    /// The field that says "no motion" for `frames` frames.
    pub fn still(frames: usize) -> Self {
        Self { step: 0, frames, rows: 0, columns: 0, vectors: Vec::new() }
    }

    /// Distance of neighbouring vectors in luma samples; 0 if there is no field.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Rows of the grid.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of the grid.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All vectors in the order frame, row, column.
    pub fn vectors(&self) -> &[Vector] {
        &self.vectors
    }

    /// The vectors of one frame.
    pub fn frame(&self, index: usize) -> &[Vector] {
        let cells = self.rows * self.columns;
        &self.vectors[index * cells..][..cells]
    }
}
