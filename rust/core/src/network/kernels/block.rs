//! A block, one pass over its rows.

use std::ops::Range;

use super::super::parameters::Block;
use super::super::simd::{Simd, Task};
use super::TILE;
use super::depthwise::{Convolve, Kernels};
use super::pack::{Order, Pack, Panels};
use super::pointwise::Inputs;
use super::product::{Activate, Add, Fold};
use super::quantise::Int8;

/// The branches of a block for certain instructions.
pub(in super::super) struct Branches {
    spatial_in: Panels,
    spatial: Kernels,
    spatial_out: Panels,
    mix_in: Panels,
    mix_out: Panels,
}

pub(in super::super) struct PackBranches<'a>(pub(in super::super) &'a Block);

impl Task for PackBranches<'_> {
    type Output = Branches;

    fn run<S: Simd>(self, s: S) -> Branches {
        let Self(block) = self;
        let pack = |layer, order| Pack { layer, order }.run(s);
        Branches {
            spatial_in: pack(&block.spatial_in, Order::Plain),
            spatial: Kernels::new(&block.spatial),
            spatial_out: pack(&block.spatial_out, Order::Plain),
            mix_in: pack(&block.mix_in, Order::Folded),
            mix_out: pack(&block.mix_out, Order::Plain),
        }
    }
}

/// Some rows of a picture: `[height, width, channels]` to `[rows, width, channels]`.
pub(in super::super) struct Band<'a> {
    pub(in super::super) block: &'a Branches,
    pub(in super::super) width: usize,
    pub(in super::super) x: &'a [f32],
    pub(in super::super) rows: Range<usize>,
    pub(in super::super) y: &'a mut [f32],
}

impl Task for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, width, x, rows, y } = self;
        let c = block.spatial.channels;
        let mut work = Work::new(c);
        let mut ring = Ring::new(width, c);
        // The row below is always one ahead.
        if let Some(above) = rows.start.checked_sub(1) {
            ring.fill(s, block, &mut work, x, above);
        }
        ring.fill(s, block, &mut work, x, rows.start);
        for (row, y) in rows.zip(y.chunks_exact_mut(width * c)) {
            ring.fill(s, block, &mut work, x, row + 1);
            let x = &x[row * width * c..(row + 1) * width * c];
            let tiles = x.chunks(TILE * c).zip(y.chunks_mut(TILE * c));
            for (tile, (x, y)) in tiles.enumerate() {
                let from = tile * TILE * c..tile * TILE * c + x.len() + 2 * c;
                let above_at_below = [row + 2, row, row + 1].map(|k| &ring.row(k)[from.clone()]);
                work.run(s, block, above_at_below, x, y);
            }
        }
    }
}

/// Three rows of what the depthwise layer takes, with a position of zeros on both sides.
struct Ring {
    rows: Vec<f32>,
    width: usize,
    channels: usize,
}

impl Ring {
    /// All rows are zeros, as those outside the picture are.
    fn new(width: usize, channels: usize) -> Self {
        Self { rows: vec![0.0; 3 * (width + 2) * channels], width, channels }
    }

    /// The place of a row; that above the first is that of row 2.
    fn row(&self, row: usize) -> &[f32] {
        let size = (self.width + 2) * self.channels;
        &self.rows[row % 3 * size..][..size]
    }

    #[inline(always)]
    fn fill<S: Simd>(&mut self, s: S, block: &Branches, work: &mut Work, x: &[f32], row: usize) {
        let (c, size) = (self.channels, (self.width + 2) * self.channels);
        let inside = &mut self.rows[row % 3 * size..][c..size - c];
        let Some(x) = x.get(row * self.width * c..(row + 1) * self.width * c) else {
            inside.fill(0.0);
            return;
        };
        for (x, to) in x.chunks(TILE * c).zip(inside.chunks_mut(TILE * c)) {
            let finish = Activate::new(to, c, x.len() / c);
            // SAFETY: `finish` was told of these positions and the layer's outputs.
            unsafe { work.inputs.multiply::<S, Int8, _>(s, &block.spatial_in, x, finish) };
        }
    }
}

/// Room for what is between the layers of a tile.
struct Work {
    inputs: Inputs,
    convolved: Vec<f32>,
    middle: Vec<f32>,
    folded: Vec<f32>,
}

impl Work {
    fn new(channels: usize) -> Self {
        let room = || vec![0.0; TILE * channels];
        let folded = vec![0.0; TILE * 2 * channels];
        Self { inputs: Inputs::new(2 * channels), convolved: room(), middle: room(), folded }
    }

    /// All from the depthwise layer on.
    #[inline(always)]
    fn run<S: Simd>(
        &mut self,
        s: S,
        block: &Branches,
        rows: [&[f32]; 3],
        x: &[f32],
        y: &mut [f32],
    ) {
        let c = block.spatial.channels;
        let positions = x.len() / c;
        let convolved = &mut self.convolved[..x.len()];
        s.run(Convolve { layer: &block.spatial, rows, to: convolved });
        let middle = &mut self.middle[..x.len()];
        let finish = Add::new(x, middle, c, positions);
        // SAFETY: each `finish` was told of these positions and the layer's outputs, and what it
        // reads and writes is borrowed here.
        unsafe {
            self.inputs.multiply::<S, Int8, _>(s, &block.spatial_out, convolved, finish);
            let folded = &mut self.folded[..2 * x.len()];
            let finish = Fold::new(folded, 2 * c, positions);
            self.inputs.multiply::<S, Int8, _>(s, &block.mix_in, middle, finish);
            let finish = Add::new(middle, y, c, positions);
            self.inputs.multiply::<S, Int8, _>(s, &block.mix_out, folded, finish);
        }
    }
}
