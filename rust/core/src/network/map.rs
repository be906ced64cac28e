//! Tensors of one picture, channels last, and the plain operations between layers.

use rayon::prelude::*;

use super::float::DefaultEnvironment;
use super::layers::{BlockLayer, PointwiseLayer};

/// float32 `[height, width, channels]`.
#[derive(Clone, Debug)]
pub(super) struct Map {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) data: Vec<f32>,
}

impl Map {
    pub(super) fn zeros(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels, data: vec![0.0; height * width * channels] }
    }

    /// One of these sizes whose rows `fill` makes from their numbers.
    pub(super) fn of_rows(
        height: usize,
        width: usize,
        channels: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let mut map = Self::zeros(height, width, channels);
        map.change_rows(fill);
        map
    }

    pub(super) fn change_rows(&mut self, change: impl Fn(usize, &mut [f32]) + Sync) {
        let row = self.width * self.channels;
        self.data.par_chunks_mut(row).with_min_len(4).enumerate().for_each(|(y, row)| {
            let _environment = DefaultEnvironment::enter();
            change(y, row);
        });
    }

    pub(super) fn row(&self, y: usize) -> &[f32] {
        &self.data[y * self.width * self.channels..][..self.width * self.channels]
    }

    pub(super) fn through(&self, layer: &PointwiseLayer) -> Self {
        let mut y = Self::zeros(self.height, self.width, layer.outputs());
        layer.forward(&self.data, &mut y.data);
        y
    }

    pub(super) fn through_block(self, block: &BlockLayer) -> Self {
        let data = block.forward(self.width, self.data);
        Self { channels: block.channels(), data, ..self }
    }

    pub(super) fn through_blocks(self, blocks: &[BlockLayer]) -> Self {
        blocks.iter().fold(self, Self::through_block)
    }

    /// The channels of both, of the same size.
    pub(super) fn beside(&self, other: &Self) -> Self {
        let (a, b) = (self.channels, other.channels);
        Self::of_rows(self.height, self.width, a + b, |y, row| {
            let sources = self.row(y).chunks_exact(a).zip(other.row(y).chunks_exact(b));
            for (position, (first, second)) in row.chunks_exact_mut(a + b).zip(sources) {
                position[..a].copy_from_slice(first);
                position[a..].copy_from_slice(second);
            }
        })
    }

    /// The upper left part.
    pub(super) fn cropped(self, height: usize, width: usize) -> Self {
        if (height, width) == (self.height, self.width) {
            return self;
        }
        let row = width * self.channels;
        Self::of_rows(height, width, self.channels, |y, to| {
            to.copy_from_slice(&self.row(y)[..row]);
        })
    }

    /// With the last row and column repeated up to multiples of a number.
    pub(super) fn padded(&self, multiple: usize) -> Self {
        let (height, width) =
            (self.height.next_multiple_of(multiple), self.width.next_multiple_of(multiple));
        let c = self.channels;
        Self::of_rows(height, width, c, |y, to| {
            let from = self.row(y.min(self.height - 1));
            to[..from.len()].copy_from_slice(from);
            for position in to[from.len()..].chunks_exact_mut(c) {
                position.copy_from_slice(&from[from.len() - c..]);
            }
        })
    }

    /// Half the size, squares of four positions as four channels each.
    pub(super) fn unshuffled(&self) -> Self {
        let c = self.channels;
        Self::of_rows(self.height / 2, self.width / 2, 4 * c, |y, row| {
            for (x, to) in row.chunks_exact_mut(4 * c).enumerate() {
                for k in 0..4 {
                    let from = &self.row(2 * y + k / 2)[(2 * x + k % 2) * c..][..c];
                    for (channel, value) in from.iter().enumerate() {
                        to[4 * channel + k] = *value;
                    }
                }
            }
        })
    }

    /// The inverse of [`Self::unshuffled`].
    pub(super) fn shuffled(&self) -> Self {
        let c = self.channels / 4;
        Self::of_rows(2 * self.height, 2 * self.width, c, |y, row| {
            for (x, to) in row.chunks_exact_mut(c).enumerate() {
                let from = &self.row(y / 2)[x / 2 * 4 * c..][..4 * c];
                let k = y % 2 * 2 + x % 2;
                for (channel, value) in to.iter_mut().enumerate() {
                    *value = from[4 * channel + k];
                }
            }
        })
    }

    /// Each channel by its gain.
    pub(super) fn scaled(mut self, gains: &[f32]) -> Self {
        self.change_rows(|_, row| {
            for position in row.chunks_exact_mut(gains.len()) {
                position.iter_mut().zip(gains).for_each(|(x, gain)| *x *= gain);
            }
        });
        self
    }

    /// The sum with one of the same shape.
    pub(super) fn plus(mut self, other: &Self) -> Self {
        self.change_rows(|y, row| {
            row.iter_mut().zip(other.row(y)).for_each(|(x, other)| *x += other);
        });
        self
    }
}
