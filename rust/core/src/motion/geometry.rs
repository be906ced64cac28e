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
}

/// Displacements of a plane's samples, in sixteenths, one row after the other.
pub(crate) struct Displacements<'a> {
    vectors: &'a [Vector],
    columns: usize,
    step: usize,
    shift: u32,
    horizontal: Axis,
    vertical: Axis,
    blended: Vec<[i32; 2]>,
    /// Displacements of the row last asked for.
    pub dx: Vec<i32>,
    pub dy: Vec<i32>,
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
            dx: vec![0; width],
            dy: vec![0; width],
        }
    }

    /// Calls `visit` for each row in `rows` with itself holding that row's displacements.
    pub fn for_rows(
        &mut self,
        rows: std::ops::Range<usize>,
        mut visit: impl FnMut(usize, &[i32], &[i32]),
    ) {
        let unit = 2 * self.step as i32;
        for s in 0..self.vertical.spans.len() {
            let span = &self.vertical.spans[s];
            let (start, low, high, first) = (span.start, span.low, span.high, span.weight);
            for y in span.start.max(rows.start)..span.end.min(rows.end) {
                let weight = first + (y - start) as i32 * self.vertical.increment;
                for c in 0..self.columns {
                    let above = self.vectors[low * self.columns + c];
                    let below = self.vectors[high * self.columns + c];
                    for k in 0..2 {
                        self.blended[c][k] =
                            above[k] as i32 * (unit - weight) + below[k] as i32 * weight;
                    }
                }
                self.fill_row();
                visit(y, &self.dx, &self.dy);
            }
        }
    }

    fn fill_row(&mut self) {
        let unit = 2 * self.step as i32;
        let half = 1 << (self.shift - 1);
        for span in &self.horizontal.spans {
            let (left, right) = (self.blended[span.low], self.blended[span.high]);
            for (k, out) in [&mut self.dx, &mut self.dy].into_iter().enumerate() {
                let slope = right[k] - left[k];
                let mut sum = left[k] * unit + slope * span.weight + half;
                for d in &mut out[span.start..span.end] {
                    *d = sum >> self.shift;
                    sum += slope * self.horizontal.increment;
                }
            }
        }
    }
}
