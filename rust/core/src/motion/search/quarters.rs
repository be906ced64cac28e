//! The reference at every quarter of a sample, so that predicting is only looking up.

use crate::motion::Vector;
use crate::motion::compensate::{BORDER, interpolate};
use crate::motion::geometry::{Area, Lattice};
use crate::motion::plane::Padded;
use crate::motion::wide::wide;

/// Samples outside the picture on which the taps still see different samples: two before, one
/// after. Further out all is the same.
const BEFORE: i32 = BORDER as i32 - 1;
const AFTER: i32 = 1;

/// Sixteen planes, one per quarter down and across, one after the other.
pub(crate) struct Quarters {
    width: i32,
    height: i32,
    stride: i32,
    plane: i32,
    samples: Vec<u8>,
}

impl Quarters {
    pub fn new(reference: &Padded<u8>) -> Self {
        let (width, height) = (reference.width() as i32, reference.height() as i32);
        let stride = BEFORE + width + AFTER;
        let plane = stride * (BEFORE + height + AFTER);
        let mut quarters =
            Self { width, height, stride, plane, samples: vec![0; 16 * plane as usize] };
        quarters.fill(reference);
        quarters
    }

    fn fill(&mut self, reference: &Padded<u8>) {
        let rows = self.samples.chunks_exact_mut(self.stride as usize);
        let count = BEFORE + self.height + AFTER;
        for (index, out) in rows.enumerate() {
            let (phase, y) = (index as i32 / count, index as i32 % count - BEFORE);
            let rows = [y - 1, y, y + 1, y + 2].map(|y| reference.from(-BEFORE - 1, y));
            fill_row(rows, [phase % 4 * 4, phase / 4 * 4], out);
        }
    }

    /// An area of the prediction; `lattice` gives quarters.
    pub fn predict(&self, lattice: &Lattice, vectors: &[Vector], area: &Area, out: &mut [u8]) {
        let width = area.width();
        let mut offsets = vec![0; width];
        let mut scratch = [vec![0; width], vec![0; width]];
        for (y, out) in area.rows.clone().zip(out.chunks_exact_mut(width)) {
            find(self, lattice, vectors, y, area, &mut scratch, &mut offsets);
            for (out, &offset) in out.iter_mut().zip(&offsets) {
                *out = self.samples[offset as usize];
            }
        }
    }
}

wide! {
    fn fill_row(rows: [&[u8]; 4], phases: [i32; 2], out: &mut [u8]) {
        interpolate(rows, phases, 255, out);
    }
}

wide! {
    /// Where the prediction of each sample of a row lies.
    fn find(
        quarters: &Quarters,
        lattice: &Lattice,
        vectors: &[Vector],
        y: usize,
        area: &Area,
        scratch: &mut [Vec<i32>; 2],
        offsets: &mut [i32],
    ) {
        let [dx, dy] = scratch.each_mut().map(|s| &mut s[..offsets.len()]);
        lattice.displacements(vectors, y, &area.columns, dx, dy);
        let start = area.columns.start as i32;
        for (k, offset) in offsets.iter_mut().enumerate() {
            let x = (start + k as i32 + (dx[k] >> 2)).clamp(-BEFORE, quarters.width);
            let y = (y as i32 + (dy[k] >> 2)).clamp(-BEFORE, quarters.height);
            let phase = (dy[k] & 3) * 4 + (dx[k] & 3);
            *offset = phase * quarters.plane + (y + BEFORE) * quarters.stride + x + BEFORE;
        }
    }
}
