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
    /// Twice the distance of the first sample from the centre of cell 0.
    first: i32,
    /// log2 of twice the step.
    shift: u32,
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

impl Span {
    /// A part of the span in groups of as many samples, counted from its start, each with the one
    /// in its middle.
    pub fn held(
        &self,
        part: &Range<usize>,
        count: usize,
    ) -> impl Iterator<Item = (Range<usize>, usize)> + use<> {
        let (start, last) = (self.start, self.end - 1);
        let Range { start: from, end } = *part;
        (start + (from - start) / count * count..end)
            .step_by(count)
            .map(move |at| (at.max(from)..end.min(at + count), last.min(at + count / 2)))
    }
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
        let first = first as i32 - step as i32;
        Self { spans, increment: increment as i32, first, shift: unit.ilog2() }
    }

    /// The spans that a range which is not empty touches.
    #[inline(always)]
    fn touched(&self, range: &Range<usize>) -> &[Span] {
        let index = |at: usize| {
            let from_first = self.increment * at as i32 + self.first;
            ((from_first >> self.shift) - (self.first >> self.shift)) as usize
        };
        &self.spans[index(range.start)..=index(range.end - 1)]
    }

    /// The spans that a range touches, with what they have of it.
    pub fn within(&self, range: &Range<usize>) -> impl Iterator<Item = (Range<usize>, &Span)> {
        let Range { start, end } = *range;
        self.touched(range).iter().map(move |span| (span.start.max(start)..span.end.min(end), span))
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

    /// The displacement between vectors that are all this one, in sixteenths: a whole number.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub fn displacement(&self, vector: Vector) -> [i32; 2] {
        vector.map(|c| (i32::from(c) << (2 * self.step.ilog2() + 2)) >> self.shift)
    }

    /// For how many rows, up to `most`, displacements between the centres of four cells hardly
    /// change: by a quarter of a sample at most from the middle one.
    pub fn rows_alike(&self, vectors: &[Vector], down: &Span, across: &Span, most: usize) -> usize {
        let at = |row: usize, column: usize| vectors[row * self.columns + column];
        let mut change = 0;
        for column in [across.low, across.high] {
            let (above, below) = (at(down.low, column), at(down.high, column));
            for c in 0..2 {
                change = change.max(usize::from(above[c].abs_diff(below[c])));
            }
        }
        let mut rows = most;
        while rows > 1 && change * rows > 2 * self.step {
            rows /= 2;
        }
        rows
    }

    /// Distance of the vectors in luma samples.
    pub fn step(&self) -> usize {
        self.step
    }
}

/// Most displacements that are computed at a time.
const LANES: usize = 16;

/// The displacements of a row of samples, in sixteenths.
pub(crate) struct Displacements {
    pub dx: Vec<i32>,
    pub dy: Vec<i32>,
    /// The vectors interpolated down to the row, times 2 · step, per column of cells.
    blended: Vec<[i32; 2]>,
}

impl Displacements {
    /// For rows of at most `width` samples, and whole groups.
    pub fn new(lattice: &Lattice, width: usize) -> Self {
        let blended = vec![[0; 2]; lattice.columns];
        let row = vec![0; width + LANES];
        Self { dx: row.clone(), dy: row, blended }
    }

    /// Those of `columns` of row `y`; `line` is the function of that name or a faster one.
    #[inline(always)]
    pub fn fill(
        &mut self,
        lattice: &Lattice,
        vectors: &[Vector],
        y: usize,
        columns: &Range<usize>,
        line: impl Fn(&mut [i32], usize, [i32; 2], u32),
    ) {
        let unit = 2 * lattice.step as i32;
        let half = 1 << (lattice.shift - 1);
        let row = &lattice.vertical.touched(&(y..y + 1))[0];
        let weight = row.weight + (y - row.start) as i32 * lattice.vertical.increment;
        let spans = lattice.horizontal.touched(columns);
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return };
        let cells = first.low..last.high + 1;
        let above = &vectors[row.low * lattice.columns..][cells.clone()];
        let below = &vectors[row.high * lattice.columns..][cells.clone()];
        let blended = &mut self.blended[cells];
        for ((out, above), below) in blended.iter_mut().zip(above).zip(below) {
            for k in 0..2 {
                out[k] = i32::from(above[k]) * (unit - weight) + i32::from(below[k]) * weight;
            }
        }
        for span in spans {
            let (start, end) = (span.start.max(columns.start), span.end.min(columns.end));
            let weight = span.weight + (start - span.start) as i32 * lattice.horizontal.increment;
            let (left, right) = (self.blended[span.low], self.blended[span.high]);
            for (k, out) in [&mut self.dx, &mut self.dy].into_iter().enumerate() {
                let slope = right[k] - left[k];
                let first = left[k] * unit + slope * weight + half;
                let step = slope * lattice.horizontal.increment;
                line(&mut out[start - columns.start..], end - start, [first, step], lattice.shift);
            }
        }
    }

    /// Repeats the displacement before a range in all of it.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub fn repeat(&mut self, range: Range<usize>) {
        for row in [&mut self.dx, &mut self.dy] {
            let last = row[range.start - 1];
            row[range.clone()].fill(last);
        }
    }
}

/// Values along a line, shifted; a whole group may be written beyond `count`.
#[inline(always)]
pub(crate) fn line(out: &mut [i32], count: usize, [first, step]: [i32; 2], shift: u32) {
    for (k, out) in out[..count].iter_mut().enumerate() {
        *out = (first + step * k as i32) >> shift;
    }
}
