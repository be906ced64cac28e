//! The definition: what every kernel gives, bit for bit.
//!
//! Tensors are float32, channels last. Only the sums of products are longer than nine terms, and
//! those are of integers; all else is single operations of IEEE 754 in the order written here.

use super::parameters::{Block, Depthwise, Pointwise, Weights};

/// Inputs are taken for zero where the largest of a position is outside: neither it nor what it is
/// divided by can then become infinite.
pub(super) const LEAST_MAGNITUDE: f32 = f32::from_bits((127 - 100) << 23);
pub(super) const LARGEST_MAGNITUDE: f32 = f32::from_bits((127 + 40) << 23);

/// Largest quantised input of 8 bits and of 12.
pub(super) const LEVELS_INT8: f32 = 127.0;
pub(super) const LEVELS_WIDE: f32 = 2047.0;

/// Quantises the inputs `x` of one position, and returns the step.
fn quantise(layer: &Pointwise, levels: f32, x: &[f32], quantised: &mut [i32]) -> f32 {
    let scaled = || x.iter().zip(&layer.equalisation).map(|(x, r)| x * r);
    // As bits, magnitudes have their order, and NaN is larger than all.
    let largest = f32::from_bits(scaled().map(|v| v.abs().to_bits()).max().unwrap_or(0));
    if !(LEAST_MAGNITUDE..=LARGEST_MAGNITUDE).contains(&largest) {
        quantised.fill(0);
        return 0.0;
    }
    let factor = levels / largest;
    for (q, v) in quantised.iter_mut().zip(scaled()) {
        *q = (v * factor).round_ties_even() as i32;
    }
    largest / levels
}

fn dot<W: Copy + Into<i32>>(weights: &[W], inputs: &[i32]) -> i32 {
    weights.iter().zip(inputs).map(|(&w, q)| w.into() * q).sum()
}

/// `[positions, inputs]` to `[positions, outputs]`.
pub(super) fn pointwise(layer: &Pointwise, x: &[f32], y: &mut [f32]) {
    let mut quantised = vec![0; layer.inputs];
    let levels = match layer.weights {
        Weights::Int8(_) => LEVELS_INT8,
        Weights::Wide(_) => LEVELS_WIDE,
    };
    for (x, y) in x.chunks_exact(layer.inputs).zip(y.chunks_exact_mut(layer.outputs)) {
        let step = quantise(layer, levels, x, &mut quantised);
        for (n, y) in y.iter_mut().enumerate() {
            let row = n * layer.inputs..(n + 1) * layer.inputs;
            let sum = match &layer.weights {
                Weights::Int8(weights) => dot(&weights[row], &quantised),
                Weights::Wide(weights) => dot(&weights[row], &quantised),
            };
            *y = (sum as f32 * step) * layer.scale[n] + layer.bias[n];
        }
    }
}

/// `[height, width, channels]`.
pub(super) fn depthwise(layer: &Depthwise, width: usize, x: &[f32], y: &mut [f32]) {
    let channels = layer.channels();
    let height = x.len() / (width * channels);
    let at = |row: usize, column: usize, channel: usize| {
        // One more than in the picture, so that the sample before the first is no negative number.
        let inside = (1..=height).contains(&row) && (1..=width).contains(&column);
        if inside { x[((row - 1) * width + column - 1) * channels + channel] } else { 0.0 }
    };
    for (i, y) in y.iter_mut().enumerate() {
        let (position, channel) = (i / channels, i % channels);
        let (row, column) = (position / width, position % width);
        let product =
            |k: usize| layer.weights[channel * 9 + k] * at(row + k / 3, column + k % 3, channel);
        let sum = (1..9).fold(product(0), |sum, k| sum + product(k));
        *y = sum + layer.bias[channel];
    }
}

/// `x · clamp(x + 0.5, 0, 1)`.
pub(super) fn activate(x: f32) -> f32 {
    x * (x + 0.5).clamp(0.0, 1.0)
}

/// `[height, width, inputs]` to `[height, width, channels]`.
pub(super) fn block(block: &Block, width: usize, x: &[f32], y: &mut [f32]) {
    let c = block.channels();
    let positions = y.len() / c;
    match &block.adaptor {
        Some(adaptor) => pointwise(adaptor, x, y),
        None => y.copy_from_slice(x),
    }
    let mut h = vec![0.0; positions * c];
    let mut branch = vec![0.0; positions * c];
    pointwise(&block.spatial_in, y, &mut branch);
    branch.iter_mut().for_each(|x| *x = activate(*x));
    depthwise(&block.spatial, width, &branch, &mut h);
    pointwise(&block.spatial_out, &h, &mut branch);
    add(y, &branch);

    let mut mixed = vec![0.0; positions * 4 * c];
    pointwise(&block.mix_in, y, &mut mixed);
    let folded: Vec<f32> = mixed
        .chunks_exact(4 * c)
        .flat_map(|position| {
            let (a, b) = position.split_at(2 * c);
            a.iter().zip(b).map(|(a, b)| activate(*a) + activate(*b))
        })
        .collect();
    pointwise(&block.mix_out, &folded, &mut branch);
    add(y, &branch);
}

fn add(x: &mut [f32], branch: &[f32]) {
    for (x, b) in x.iter_mut().zip(branch) {
        *x += b;
    }
}
