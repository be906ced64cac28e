//! A pointwise layer on consecutive positions.

use super::super::simd::{Simd, Task};
use super::TILE;
use super::pack::Panels;
use super::product::{Finish, Product, Store};
use super::quantise::{Int8, Kind, Wide, quantise, stride};

/// `[positions, inputs]` to `[positions, outputs]`.
pub(in super::super) struct Forward<'a> {
    pub(in super::super) layer: &'a Panels,
    pub(in super::super) x: &'a [f32],
    pub(in super::super) y: &'a mut [f32],
}

impl Task for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let layer = self.layer;
        let mut inputs = Inputs::new(layer.inputs);
        let x = self.x.chunks(TILE * layer.inputs);
        let y = self.y.chunks_mut(TILE * layer.outputs);
        for (x, y) in x.zip(y) {
            let positions = x.len() / layer.inputs;
            let finish = Store::new(y, layer.outputs, positions);
            // SAFETY: `finish` was told of these positions and outputs.
            unsafe {
                match layer.wide {
                    false => inputs.multiply::<S, Int8, _>(s, layer, x, finish),
                    true => inputs.multiply::<S, Wide, _>(s, layer, x, finish),
                }
            }
        }
    }
}

/// Room for the quantised inputs of a tile.
pub(super) struct Inputs {
    quantised: Vec<u8>,
    steps: [f32; TILE],
}

impl Inputs {
    /// Of up to as many channels.
    pub(super) fn new(most: usize) -> Self {
        Self { quantised: vec![0; TILE * stride(most)], steps: [0.0; TILE] }
    }

    /// Quantises the positions of `x`, up to a tile, and multiplies them.
    ///
    /// # Safety
    /// `finish` takes that many positions, and all outputs of the layer.
    #[inline(always)]
    pub(super) unsafe fn multiply<S: Simd, K: Kind, F: Finish>(
        &mut self,
        s: S,
        layer: &Panels,
        x: &[f32],
        finish: F,
    ) {
        let steps = &mut self.steps[..x.len() / layer.inputs];
        quantise::<S, K>(s, layer, x, &mut self.quantised, steps);
        // SAFETY: what the caller promises.
        s.run(unsafe { Product::<K, F>::new(layer, &self.quantised, steps, finish) });
    }
}
