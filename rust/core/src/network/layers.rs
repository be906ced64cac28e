//! Layers ready to run: weights packed for the kernels, rows spread over threads.

use rayon::prelude::*;

use super::dispatch::Loops;
use super::float::DefaultEnvironment;
use super::kernels::TILE;
use super::kernels::block::{Band, Branches, PackBranches};
use super::kernels::pack::{Order, Pack, Panels};
use super::kernels::pointwise::Forward;
use super::kernels::product::Bare;
use super::parameters::{Block, Pointwise, Weights};
use super::scalar;
use crate::Result;

/// Fewest positions that are worth a thread of their own.
const POSITIONS: usize = 8 * TILE;

/// Fewest rows of a block's band: two more are calculated, partly, for each.
const ROWS: usize = 4;

/// Bands for each thread, so that none waits long for the others.
const BANDS: usize = 2;

/// A 1×1 convolution on quantised inputs.
pub struct PointwiseLayer {
    loops: Loops,
    inputs: usize,
    outputs: usize,
    form: Form<Pointwise, Panels>,
}

/// Parameters where the definition is run, else what was made of them for the kernels.
enum Form<P, F> {
    Plain(P),
    Packed(F),
}

impl PointwiseLayer {
    pub fn new(parameters: Pointwise, loops: Loops) -> Self {
        let (inputs, outputs) = (parameters.inputs, parameters.outputs);
        let packed = loops.run(Pack { layer: &parameters, order: Order::Plain });
        let form = match packed {
            Ok(panels) => Form::Packed(panels),
            Err(_) => Form::Plain(parameters),
        };
        Self { loops, inputs, outputs, form }
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// `[positions, inputs]` to `[positions, outputs]`.
    ///
    /// # Panics
    /// If `x` and `y` are not of as many positions.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        let positions = x.len() / self.inputs;
        assert_eq!((x.len(), y.len()), (positions * self.inputs, positions * self.outputs));
        // Whole tiles for all threads but the last.
        let share = positions.div_ceil(rayon::current_num_threads()).max(POSITIONS);
        let share = share.next_multiple_of(TILE);
        y.par_chunks_mut(share * self.outputs)
            .zip(x.par_chunks(share * self.inputs))
            .for_each(|(y, x)| self.forward_here(x, y));
    }

    fn forward_here(&self, x: &[f32], y: &mut [f32]) {
        let _environment = DefaultEnvironment::enter();
        match &self.form {
            Form::Plain(parameters) => scalar::pointwise(parameters, x, y),
            Form::Packed(layer) => {
                let done = self.loops.run(Forward { layer, x, y });
                debug_assert!(done.is_ok(), "packed for loops that are not the plain ones");
            }
        }
    }
}

/// A residual block.
pub struct BlockLayer {
    loops: Loops,
    inputs: usize,
    channels: usize,
    form: Form<Block, (Option<PointwiseLayer>, Branches)>,
}

impl BlockLayer {
    pub fn new(parameters: Block, loops: Loops) -> Self {
        let (inputs, channels) = (parameters.inputs(), parameters.channels());
        let packed = loops.run(PackBranches(&parameters));
        let form = match packed {
            Ok(branches) => {
                let adaptor = parameters.adaptor.map(|layer| PointwiseLayer::new(layer, loops));
                Form::Packed((adaptor, branches))
            }
            Err(_) => Form::Plain(parameters),
        };
        Self { loops, inputs, channels, form }
    }

    /// Channels of its input.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Channels of its output.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `[height, width, inputs]` to `[height, width, channels]`, in place where these are as many.
    ///
    /// # Panics
    /// If `x` is not of whole rows.
    pub fn forward(&self, width: usize, mut x: Vec<f32>) -> Vec<f32> {
        assert!(x.len().is_multiple_of(width * self.inputs));
        let outputs = x.len() / self.inputs * self.channels;
        match &self.form {
            Form::Plain(parameters) => {
                let _environment = DefaultEnvironment::enter();
                let mut y = vec![0.0; outputs];
                scalar::block(parameters, width, &x, &mut y);
                return y;
            }
            Form::Packed((adaptor, branches)) => {
                if let Some(adaptor) = adaptor {
                    let mut adapted = vec![0.0; outputs];
                    adaptor.forward(&x, &mut adapted);
                    x = adapted;
                }
                self.forward_bands(branches, width, &mut x);
            }
        }
        x
    }

    fn forward_bands(&self, block: &Branches, width: usize, x: &mut [f32]) {
        let row = width * self.channels;
        let height = x.len() / row;
        let threads = rayon::current_num_threads();
        let bands = if threads == 1 { 1 } else { BANDS * threads };
        let rows = height.div_ceil(bands).max(ROWS);
        // The last row of each band and the first of the next, which change while they are needed.
        let edges: Vec<[Vec<f32>; 2]> = (rows..height)
            .step_by(rows)
            .map(|y| [y - 1, y].map(|y| x[y * row..(y + 1) * row].to_vec()))
            .collect();
        x.par_chunks_mut(rows * row).enumerate().for_each(|(band, rows)| {
            let _environment = DefaultEnvironment::enter();
            let above = band.checked_sub(1).map(|edge| &edges[edge][0][..]);
            let below = edges.get(band).map(|edge| &edge[1][..]);
            let done = self.loops.run(Band { block, width, rows, above, below });
            debug_assert!(done.is_ok(), "packed for loops that are not the plain ones");
        });
    }
}

/// Products of a layer's weights with the positions that its registers hold, over and over, for
/// measuring what a processor can do at best.
pub struct BareProduct {
    loops: Loops,
    panels: Panels,
}

impl BareProduct {
    /// Square, of `channels`. None for the plain loops.
    ///
    /// # Errors
    /// If there is no layer of so many channels.
    pub fn new(channels: usize, loops: Loops) -> Result<Option<Self>> {
        let layer = Pointwise::new(
            Weights::Int8((0..channels * channels).map(|i| (i * 37 % 31) as i8 - 15).collect()),
            vec![1.0; channels],
            vec![0.0; channels],
            vec![1.0; channels],
        )?;
        let panels = loops.run(Pack { layer: &layer, order: Order::Plain }).ok();
        Ok(panels.map(|panels| Self { loops, panels }))
    }

    /// Returns how many multiplications with additions it made.
    pub fn run(&self, times: usize) -> usize {
        let positions = self.loops.run(Bare { layer: &self.panels, times });
        positions.unwrap_or(0) * self.panels.products()
    }
}
