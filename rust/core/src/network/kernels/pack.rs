//! Weights in the order in which products read them.

use super::super::parameters::{Pointwise, Weights};
use super::super::simd::{Simd, Task};
use super::runs::Runs;

/// Which outputs a panel has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Order {
    /// Consecutive ones.
    Plain,
    /// As many of the first half as of the second, which will be added.
    Folded,
}

/// A pointwise layer for certain instructions.
pub(in super::super) struct Panels {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) wide: bool,
    /// Groups of four bytes of inputs: 4 or 2 of them.
    pub(super) groups: usize,
    /// `[panels][groups][2][lanes]`, four bytes each.
    pub(super) weights: Vec<i32>,
    /// Where sums start; as the following `[panels][2][lanes]`.
    pub(super) start: Vec<i32>,
    pub(super) scale: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) equalisation: Vec<f32>,
    /// None for products that are not made by runs.
    pub(super) runs: Runs,
}

impl Panels {
    pub(super) fn panels<S: Simd>(&self) -> usize {
        self.start.len() / (2 * S::LANES)
    }

    /// Multiplications for each position.
    pub(in super::super) fn products(&self) -> usize {
        self.inputs * self.outputs
    }
}

pub(in super::super) struct Pack<'a> {
    pub(in super::super) layer: &'a Pointwise,
    pub(in super::super) order: Order,
}

impl Task for Pack<'_> {
    type Output = Panels;

    fn run<S: Simd>(self, _: S) -> Panels {
        let layer = self.layer;
        let vectors = match self.order {
            Order::Plain => layer.outputs.div_ceil(S::LANES),
            Order::Folded => 2 * (layer.outputs / 2).div_ceil(S::LANES),
        };
        let panels = vectors.div_ceil(2);
        let output = |place: usize| {
            let (panel, vector, lane) =
                (place / (2 * S::LANES), place / S::LANES % 2, place % S::LANES);
            match self.order {
                Order::Plain => Some(place).filter(|&n| n < layer.outputs),
                Order::Folded => {
                    let half = layer.outputs / 2;
                    let n = panel * S::LANES + lane;
                    (n < half).then_some(vector * half + n)
                }
            }
        };
        let outputs: Vec<Option<usize>> = (0..panels * 2 * S::LANES).map(output).collect();
        let of_outputs =
            |values: &[f32]| outputs.iter().map(|n| n.map_or(0.0, |n| values[n])).collect();

        let mut panels = Panels {
            inputs: layer.inputs,
            outputs: layer.outputs,
            wide: false,
            groups: 0,
            weights: Vec::new(),
            start: vec![0; outputs.len()],
            scale: of_outputs(&layer.scale),
            bias: of_outputs(&layer.bias),
            equalisation: layer.equalisation.clone(),
            runs: Runs::default(),
        };
        let row = |n: usize| n * layer.inputs..(n + 1) * layer.inputs;
        match &layer.weights {
            Weights::Int8(weights) => {
                let inputs = 4 / S::BYTES_INT8;
                panels.groups = layer.inputs / inputs;
                let at = |n: usize, group: usize| {
                    let weights = &weights[row(n)][inputs * group..];
                    match S::BYTES_INT8 {
                        1 => i32::from_le_bytes(std::array::from_fn(|k| weights[k] as u8)),
                        _ => two(weights[0].into(), weights[1].into()),
                    }
                };
                panels.weights = in_order(&outputs, 2 * S::LANES, panels.groups, at);
                if S::SHORT_SUMS {
                    panels.runs =
                        Runs::new(&panels.weights, panels.groups, 2 * S::LANES, S::OFFSET);
                }
                for (start, n) in panels.start.iter_mut().zip(&outputs) {
                    let sum = |n| weights[row(n)].iter().map(|&w| i32::from(w)).sum::<i32>();
                    *start = n.map_or(0, |n| -S::OFFSET * sum(n));
                }
            }
            Weights::Wide(weights) => {
                panels.wide = true;
                panels.groups = layer.inputs / 2;
                let at = |n: usize, group: usize| {
                    let weights = &weights[row(n)][2 * group..];
                    two(weights[0], weights[1])
                };
                panels.weights = in_order(&outputs, 2 * S::LANES, panels.groups, at);
            }
        }
        panels
    }
}

/// As four bytes, the first lowest.
fn two(first: i16, second: i16) -> i32 {
    i32::from(second) << 16 | i32::from(first as u16)
}

/// Four bytes of weights each, zeros where there is no output.
fn in_order(
    outputs: &[Option<usize>],
    panel: usize,
    groups: usize,
    at: impl Fn(usize, usize) -> i32,
) -> Vec<i32> {
    let mut weights = Vec::with_capacity(outputs.len() * groups);
    for panel in outputs.chunks_exact(panel) {
        for group in 0..groups {
            weights.extend(panel.iter().map(|n| n.map_or(0, |n| at(n, group))));
        }
    }
    weights
}
