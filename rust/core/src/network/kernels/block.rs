//! A block, one pass over its rows.

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

/// Consecutive rows of a picture, `[rows, width, channels]`, and those around them, in place.
pub(in super::super) struct Band<'a> {
    pub(in super::super) block: &'a Branches,
    pub(in super::super) width: usize,
    pub(in super::super) rows: &'a mut [f32],
    /// The row before and the one after, as they are before the block; none outside the picture.
    pub(in super::super) above: Option<&'a [f32]>,
    pub(in super::super) below: Option<&'a [f32]>,
}

impl Task for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, width, rows, above, below } = self;
        let c = block.spatial.channels;
        let row = width * c;
        let count = rows.len() / row;
        let mut work = Work::new(c);
        let mut ring = Ring::new(width, c);
        // The row below is always one ahead: what is read of it is not yet changed. Rows of the
        // band count from one.
        ring.fill(s, block, &mut work, above, 0);
        ring.fill(s, block, &mut work, rows.get(..row), 1);
        for n in 1..=count {
            let next = if n < count { rows.get(n * row..(n + 1) * row) } else { below };
            ring.fill(s, block, &mut work, next, n + 1);
            for (tile, x) in rows[(n - 1) * row..n * row].chunks_mut(TILE * c).enumerate() {
                let from = tile * TILE * c..tile * TILE * c + x.len() + 2 * c;
                let around = [n - 1, n, n + 1].map(|k| &ring.row(k)[from.clone()]);
                work.run(s, block, around, x);
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
    fn new(width: usize, channels: usize) -> Self {
        Self { rows: vec![0.0; 3 * (width + 2) * channels], width, channels }
    }

    fn row(&self, row: usize) -> &[f32] {
        let size = (self.width + 2) * self.channels;
        &self.rows[row % 3 * size..][..size]
    }

    /// Makes a row from the block's input; zeros outside the picture.
    #[inline(always)]
    fn fill<S: Simd>(
        &mut self,
        s: S,
        block: &Branches,
        work: &mut Work,
        x: Option<&[f32]>,
        row: usize,
    ) {
        let (c, size) = (self.channels, (self.width + 2) * self.channels);
        let inside = &mut self.rows[row % 3 * size..][c..size - c];
        let Some(x) = x else {
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
    fn run<S: Simd>(&mut self, s: S, block: &Branches, rows: [&[f32]; 3], x: &mut [f32]) {
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
            let finish = Add::new(middle, x, c, positions);
            self.inputs.multiply::<S, Int8, _>(s, &block.mix_out, folded, finish);
        }
    }
}
