//! The 3×3 convolution of each channel.

use super::super::parameters::Depthwise;
use super::super::simd::{Simd, Task};
use super::with_group;

/// Weights in the order in which they are read.
pub(in super::super) struct Kernels {
    pub(super) channels: usize,
    /// `[9][channels]`
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Kernels {
    pub(super) fn new(layer: &Depthwise) -> Self {
        let channels = layer.channels();
        let weights = (0..9 * channels).map(|i| layer.weights[i % channels * 9 + i / channels]);
        Self { channels, weights: weights.collect(), bias: layer.bias.clone() }
    }
}

/// Consecutive positions of a row, from the rows above, at and below. Each of these has a position
/// more on both sides. Channels are whole vectors.
pub(super) struct Convolve<'a> {
    pub(super) layer: &'a Kernels,
    pub(super) rows: [&'a [f32]; 3],
    pub(super) to: &'a mut [f32],
}

impl Task for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let c = self.layer.channels;
        let positions = self.to.len() / c;
        assert!(c.is_multiple_of(S::LANES));
        assert!(self.rows.iter().all(|row| row.len() >= (positions + 2) * c));
        let mut first = 0;
        while first < positions {
            let group = (positions - first).min(S::GROUP);
            let rows = self.rows.map(|row| &row[first * c..(first + group + 2) * c]);
            let to = &mut self.to[first * c..(first + group) * c];
            // SAFETY: the slices are of the group's positions, and of two more.
            with_group!(group, P => unsafe { convolve::<S, P>(s, self.layer, rows, to) });
            first += group;
        }
    }
}

/// # Safety
/// `to` is of `P` positions, the rows are of two more; channels are whole vectors.
#[inline(always)]
unsafe fn convolve<S: Simd, const P: usize>(
    s: S,
    layer: &Kernels,
    rows: [&[f32]; 3],
    to: &mut [f32],
) {
    let c = layer.channels;
    for channel in (0..c).step_by(S::LANES) {
        // SAFETY: what the caller promises.
        unsafe {
            let weights = layer.weights.as_ptr().add(channel);
            let w = s.load(weights);
            let mut sums = [w; P];
            for (p, sum) in sums.iter_mut().enumerate() {
                *sum = s.mul(w, s.load(rows[0].as_ptr().add(p * c + channel)));
            }
            for k in 1..9 {
                let w = s.load(weights.add(k * c));
                let row = rows[k / 3].as_ptr().add(k % 3 * c + channel);
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = s.add(*sum, s.mul(w, s.load(row.add(p * c))));
                }
            }
            let bias = s.load(layer.bias.as_ptr().add(channel));
            for (p, sum) in sums.into_iter().enumerate() {
                s.store(to.as_mut_ptr().add(p * c + channel), s.add(sum, bias));
            }
        }
    }
}
