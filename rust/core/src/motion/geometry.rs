//! Where samples lie between the grid's vectors, and the displacement that each gets.

use std::ops::Range;

use super::Vector;

/// Which plane of a 4:2:0 picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Luma,
    Chroma,
}

/// A rectangle of samples.
#[derive(Clone, Debug)]
pub(crate) struct Area {
    pub columns: Range<usize>,
    pub rows: Range<usize>,
}

impl Area {
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    pub fn height(&self) -> usize {
        self.rows.len()
    }

    pub fn samples(&self) -> usize {
        self.width() * self.height()
    }
}

/// How one axis of a plane lies on the grid: runs of samples between the same two cell centres.
pub(crate) struct Axis {
    pub spans: Vec<Span>,
    /// Growth of the weight from one sample to the next: 2 for luma, 4 for chroma.
    increment: i32,
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
            let (low, high) = (cell(index), cell(index + 1));
            spans.push(Span { start, end, low, high, weight: weight as i32 });
            start = end;
        }
        Self { spans, increment: increment as i32 }
    }

    /// The spans from the one that holds `at` on.
    fn spans_from(&self, at: usize) -> &[Span] {
        &self.spans[self.spans.partition_point(|s| s.end <= at)..]
    }
}

/// The grid over one plane.
pub(crate) struct Lattice {
    pub columns: usize,
    pub horizontal: Axis,
    pub vertical: Axis,
    step: usize,
    /// log2 of what the interpolated sum is divided by to give sixteenths.
    shift: u32,
}

impl Lattice {
    /// For a plane of `width` x `height` samples under a grid of `rows` x `columns` cells.
    pub fn new(
        [width, height]: [usize; 2],
        [rows, columns]: [usize; 2],
        step: usize,
        kind: Kind,
    ) -> Self {
        Self {
            columns,
            horizontal: Axis::new(width, step, columns, kind),
            vertical: Axis::new(height, step, rows, kind),
            step,
            shift: 2 * step.ilog2() + u32::from(kind == Kind::Chroma),
        }
    }

    /// The same with displacements in quarters instead of sixteenths.
    pub fn in_quarters(self) -> Self {
        Self { shift: self.shift + 2, ..self }
    }

    /// Distance of the vectors in luma samples.
    pub fn step(&self) -> usize {
        self.step
    }

    /// The displacements of `columns` of row `y`.
    #[inline(always)]
    pub fn displacements(
        &self,
        vectors: &[Vector],
        y: usize,
        columns: &Range<usize>,
        dx: &mut [i32],
        dy: &mut [i32],
    ) {
        let unit = 2 * self.step as i32;
        let half = 1 << (self.shift - 1);
        let row = &self.vertical.spans_from(y)[0];
        let weight = row.weight + (y - row.start) as i32 * self.vertical.increment;
        let blend = |column: usize, k: usize| {
            let above = i32::from(vectors[row.low * self.columns + column][k]);
            let below = i32::from(vectors[row.high * self.columns + column][k]);
            above * (unit - weight) + below * weight
        };
        for span in self.horizontal.spans_from(columns.start) {
            let (start, end) = (span.start.max(columns.start), span.end.min(columns.end));
            if start >= end {
                break;
            }
            let weight = span.weight + (start - span.start) as i32 * self.horizontal.increment;
            for (k, out) in [&mut *dx, &mut *dy].into_iter().enumerate() {
                let left = blend(span.low, k);
                let slope = blend(span.high, k) - left;
                let first = left * unit + slope * weight + half;
                let step = slope * self.horizontal.increment;
                let out = &mut out[start - columns.start..end - columns.start];
                for (i, d) in out.iter_mut().enumerate() {
                    *d = (first + step * i as i32) >> self.shift;
                }
            }
        }
    }
}
