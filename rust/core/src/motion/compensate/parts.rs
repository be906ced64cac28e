//! What can be predicted in the same way.

use std::ops::Range;

use crate::motion::Vector;
use crate::motion::geometry::{Area, Displacements, Lattice, Span};

/// Neighbouring spans across, between vectors that are all the same or not.
struct Part {
    columns: Range<usize>,
    /// The one that they all are.
    vector: Option<Vector>,
    /// Rows that get the same displacements.
    held: usize,
}

/// The parts of some columns at one span down; `held` as in `predict_area`.
fn split(
    lattice: &Lattice,
    vectors: &[Vector],
    down: &Span,
    columns: &Range<usize>,
    held: usize,
    parts: &mut Vec<Part>,
) {
    parts.clear();
    for (columns, across) in lattice.horizontal.within(columns) {
        let at = |row: usize, column: usize| vectors[row * lattice.columns + column];
        let vector = at(down.low, across.low);
        let same = vector == at(down.low, across.high)
            && vector == at(down.high, across.low)
            && vector == at(down.high, across.high);
        let vector = same.then_some(vector);
        let held = lattice.rows_alike(vectors, down, across, held);
        match parts.last_mut() {
            Some(last) if last.vector == vector && last.held == held => {
                last.columns.end = columns.end;
            }
            _ => parts.push(Part { columns, vector, held }),
        }
    }
}

/// An area of the prediction, into `out` row by row, as `predict_area`.
///
/// `varied` predicts a block of at most `HELD` rows with the displacements of the line that it is
/// told first, and may write as many samples of each row as it is told last, beyond the block; `flat`
/// predicts one with one displacement. Both get `out` from the block's first sample on.
#[inline(always)]
pub(super) fn predict_parts(
    lattice: &Lattice,
    vectors: &[Vector],
    area: &Area,
    held: usize,
    out: &mut [u8],
    varied: impl Fn(&mut Displacements, usize, &Area, &mut [u8], usize),
    flat: impl Fn([i32; 2], &Area, &mut [u8]),
) {
    let width = area.width();
    let mut row = Displacements::new(lattice, width);
    let mut parts = Vec::new();
    for (rows, down) in lattice.vertical.within(&area.rows) {
        split(lattice, vectors, down, &area.columns, held, &mut parts);
        let first = rows.start;
        let out = &mut out[(first - area.rows.start) * width..];
        // What varies may be written beyond its part, so the others come after.
        for part in parts.iter().filter(|part| part.vector.is_none()) {
            let from = part.columns.start - area.columns.start;
            for (rows, y) in down.held(&rows, part.held) {
                let out = &mut out[(rows.start - first) * width + from..];
                let block = Area { columns: part.columns.clone(), rows };
                varied(&mut row, y, &block, out, width - from);
            }
        }
        for part in &parts {
            let Some(vector) = part.vector else { continue };
            let block = Area { columns: part.columns.clone(), rows: rows.clone() };
            let from = part.columns.start - area.columns.start;
            flat(lattice.displacement(vector), &block, &mut out[from..]);
        }
    }
}
