//! A small picture on which kernels are compared with the definition before they are chosen.

use super::dispatch::Loops;
use super::float::DefaultEnvironment;
use super::kernels::block::{Band, PackBranches};
use super::kernels::pack::{Order, Pack};
use super::kernels::pointwise::Forward;
use super::parameters::{Block, Depthwise, Pointwise, Weights};
use super::scalar;
use crate::Result;

/// Of the block: for all instructions whole vectors, but in its first layer less than the bytes
/// that are stored at once.
const CHANNELS: usize = 32;

/// More positions in a row than a group has, and as many rows as a block keeps, beside which are those outside.
const WIDTH: usize = 7;
const HEIGHT: usize = 3;

/// Of the wide layer; no whole vectors.
const OUTPUTS: usize = 20;

/// A block, which has products, a depthwise layer, activation and fold, and a wide layer.
pub(super) struct Trial {
    block: Block,
    wide: Pointwise,
    x: Vec<f32>,
}

impl Trial {
    /// # Errors
    /// None: the layers are valid.
    pub(super) fn new() -> Result<Self> {
        let mut noise = Noise(1);
        let block = Block::new(
            None,
            noise.int8(CHANNELS, CHANNELS)?,
            Depthwise::new(noise.floats(9 * CHANNELS), noise.floats(CHANNELS))?,
            noise.int8(CHANNELS, CHANNELS)?,
            noise.int8(CHANNELS, 4 * CHANNELS)?,
            noise.int8(2 * CHANNELS, CHANNELS)?,
        )?;
        let wide = noise.wide(CHANNELS, OUTPUTS)?;
        let x = noise.inputs(&block.spatial_in.equalisation);
        Ok(Self { block, wide, x })
    }

    /// The bits that certain loops give.
    ///
    /// All is done on this thread: one that waits for others may be given work that itself waits
    /// for the choice of loops.
    pub(super) fn run(&self, loops: Loops) -> Vec<u32> {
        let _environment = DefaultEnvironment::enter();
        let x = &self.x;
        let (mut y, mut wide) = (x.clone(), vec![f32::NAN; WIDTH * HEIGHT * OUTPUTS]);
        if let Ok(block) = loops.run(PackBranches(&self.block)) {
            let (above, below) = (None, None);
            let band = Band { block: &block, width: WIDTH, rows: &mut y, above, below };
            let done = loops.run(band);
            debug_assert!(done.is_ok(), "packed for loops that are not the plain ones");
        } else {
            scalar::block(&self.block, WIDTH, x, &mut y);
        }
        if let Ok(layer) = loops.run(Pack { layer: &self.wide, order: Order::Plain }) {
            let done = loops.run(Forward { layer: &layer, x, y: &mut wide });
            debug_assert!(done.is_ok(), "packed for loops that are not the plain ones");
        } else {
            scalar::pointwise(&self.wide, x, &mut wide);
        }
        y.into_iter().chain(wide).map(f32::to_bits).collect()
    }
}

/// Numbers that look random.
struct Noise(u32);

impl Noise {
    /// From -1 to 1.
    fn floats(&mut self, count: usize) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Integers up to a limit. Small ones are more frequent, so that sums of several fit 16 bits.
    fn weights(&mut self, count: usize, limit: f32) -> impl Iterator<Item = f32> {
        self.floats(count).into_iter().map(move |x| (limit * x * x * x).round())
    }

    fn int8(&mut self, inputs: usize, outputs: usize) -> Result<Pointwise> {
        let weights = self.weights(inputs * outputs, 63.0).map(|w| w as i8).collect();
        self.layer(Weights::Int8(weights), inputs, outputs, 63.0)
    }

    fn wide(&mut self, inputs: usize, outputs: usize) -> Result<Pointwise> {
        let weights = self.weights(inputs * outputs, 2047.0).map(|w| w as i16).collect();
        self.layer(Weights::Wide(weights), inputs, outputs, 2047.0)
    }

    /// With outputs of a magnitude of about one, where an activation has all its parts.
    fn layer(
        &mut self,
        weights: Weights,
        inputs: usize,
        outputs: usize,
        limit: f32,
    ) -> Result<Pointwise> {
        let typical = 1.0 / (limit * (inputs as f32).sqrt());
        let scale = self.floats(outputs).into_iter().map(|x| (2.0 + x) * typical).collect();
        let equalisation = self.floats(inputs).into_iter().map(|x| (2.0 * x).round().exp2());
        Pointwise::new(weights, scale, self.floats(outputs), equalisation.collect())
    }

    /// Of a layer with that equalisation: positions of halves of a step, which are rounded to
    /// even, among others, and one of zeros.
    fn inputs(&mut self, equalisation: &[f32]) -> Vec<f32> {
        let mut x = self.floats(WIDTH * HEIGHT * CHANNELS);
        x[CHANNELS..2 * CHANNELS].fill(0.0);
        for x in x.chunks_exact_mut(CHANNELS).step_by(4) {
            x.iter_mut().for_each(|x| *x = (254.0 * *x).round() / 256.0);
            x[0] = -254.0 / 256.0;
            x.iter_mut().zip(equalisation).for_each(|(x, r)| *x /= r);
        }
        x
    }
}
