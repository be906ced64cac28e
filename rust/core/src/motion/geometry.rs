//! Where samples lie between the grid's vectors, and the displacement that each gets.

use super::Vector;

/// How one axis of a plane lies on the grid: runs of samples between the same two cell centres.
pub(crate) struct Axis {
    pub spans: Vec<Span>,
    /// Growth of the weight from one sample to the next: 2 for luma, 4 for chroma.
    pub increment: i32,
}

/// Samples `start..end`, between the centres of the cells `low` and `high`.
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
    pub low: usize,
    pub high: usize,
    /// Weight of `high` at `start`, in 1/(2 · step).
    pub weight: i32,
}

/// Which plane of a 4:2:0 picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Luma,
    Chroma,
}

impl Axis {
    /// `length` samples on a grid of `cells` cells.
    pub fn new(length: usize, step: usize, cells: usize, kind: Kind) -> Self {
        let (increment, first) = match kind {
            Kind::Luma => (2, 1),
            Kind::Chroma => (4, 2),
        };
        let unit = 2 * step as i64;
        let mut spans: Vec<Span> = Vec::new();
        let mut start = 0;
        while start < length {
            // Twice the distance from the centre of cell 0.
            let t = increment * start as i64 + first - step as i64;
            let index = t.div_euclid(unit);
            let weight = t.rem_euclid(unit);
            let steps = (unit - weight + increment - 1) / increment;
            let end = length.min(start + steps as usize);
            let cell = |i: i64| i.clamp(0, cells as i64 - 1) as usize;
            spans.push(Span {
                start,
                end,
                low: cell(index),
                high: cell(index + 1),
                weight: weight as i32,
            });
            start = end;
        }
        Self { spans, increment: increment as i32 }
    }

    fn span(&self, at: usize) -> &Span {
        &self.spans[self.spans.partition_point(|s| s.end <= at)]
    }
}

/// Displacements of a plane's samples, in sixteenths.
pub(crate) struct Displacements<'a> {
    vectors: &'a [Vector],
    columns: usize,
    step: usize,
    shift: u32,
    horizontal: Axis,
    vertical: Axis,
    /// Vectors of one row of samples, one per column of the grid.
    blended: Vec<[i32; 2]>,
}

impl<'a> Displacements<'a> {
    pub fn new(
        vectors: &'a [Vector],
        columns: usize,
        step: usize,
        width: usize,
        height: usize,
        kind: Kind,
    ) -> Self {
        let rows = vectors.len() / columns;
        let chroma = (kind == Kind::Chroma) as u32;
        Self {
            vectors,
            columns,
            step,
            shift: 2 * step.ilog2() + chroma,
            horizontal: Axis::new(width, step, columns, kind),
            vertical: Axis::new(height, step, rows, kind),
            blended: vec![[0; 2]; columns],
        }
    }

    /// The displacements of row `y`.
    #[inline(always)]
    pub fn row(&mut self, y: usize, dx: &mut [i32], dy: &mut [i32]) {
        let unit = 2 * self.step as i32;
        let span = self.vertical.span(y);
        let weight = span.weight + (y - span.start) as i32 * self.vertical.increment;
        let row = |r: usize| &self.vectors[r * self.columns..][..self.columns];
        for ((out, above), below) in self.blended.iter_mut().zip(row(span.low)).zip(row(span.high))
        {
            *out = [0, 1].map(|k| above[k] as i32 * (unit - weight) + below[k] as i32 * weight);
        }
        let half = 1 << (self.shift - 1);
        for span in &self.horizontal.spans {
            let (left, right) = (self.blended[span.low], self.blended[span.high]);
            for (k, out) in [&mut *dx, &mut *dy].into_iter().enumerate() {
                let slope = right[k] - left[k];
                let first = left[k] * unit + slope * span.weight + half;
                for (i, d) in out[span.start..span.end].iter_mut().enumerate() {
                    *d = (first + slope * self.horizontal.increment * i as i32) >> self.shift;
                }
            }
        }
    }
}
