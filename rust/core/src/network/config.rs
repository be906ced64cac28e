//! Sizes of the codec, and what all sizes share.

use serde::Deserialize;

use super::parameters::CHANNEL_UNIT;
use crate::{Error, Result};

/// Quality levels; the network's row is `63 - qp`.
pub const QUALITIES: usize = 64;

/// Rows by which the frames of a unit are better than its base row.
const FRAME_OFFSETS: [usize; FRAMES] = [0, 4];

/// Rows by which a still is better than its base row, and that is better than `63 - qp`.
const STILL_OFFSET: usize = 8;
const STILL_LEAD: usize = 5;

/// Frames that the networks are given for a unit.
pub const FRAMES: usize = 2;

/// Of the prior: in each it knows what was decided in those before.
pub(super) const STAGES: usize = 4;

const WIDEST: usize = 1024;
const DEEPEST: usize = 16;

/// Widths and depths of one size.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub name: String,
    pub trunk: usize,
    pub latent: usize,
    pub hyper: usize,
    pub prior: usize,
    pub head: usize,
    pub entropy: usize,
    pub extractor_depths: [usize; 2],
    pub encoder_depth: usize,
    pub decoder_depth: usize,
    pub head_depth: usize,
    pub fusion_depth: usize,
    pub spatial_depth: usize,
    motion: bool,
    frames_per_unit: usize,
}

impl Config {
    pub(super) fn check(&self) -> Result<()> {
        if !self.motion || self.frames_per_unit != FRAMES {
            let what = format!("network {}: this engine runs those of two frames", self.name);
            return Err(Error::Unsupported { what });
        }
        let widths = [self.trunk, self.latent, self.hyper, self.prior, self.head, self.entropy];
        for width in widths {
            if !width.is_multiple_of(CHANNEL_UNIT) || !(CHANNEL_UNIT..=WIDEST).contains(&width) {
                return Err(corrupt(format!("a width of {width}")));
            }
        }
        let [first, second] = self.extractor_depths;
        let depths = [
            first,
            second,
            self.encoder_depth,
            self.decoder_depth,
            self.head_depth,
            self.fusion_depth,
            self.spatial_depth,
        ];
        match depths.into_iter().find(|depth| !(1..=DEEPEST).contains(depth)) {
            Some(depth) => Err(corrupt(format!("a depth of {depth}"))),
            None => Ok(()),
        }
    }
}

/// Something wrong in a model file.
pub(super) fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::corrupt(0, format!("model file: {what}"))
}

/// Quality row of a unit, before the offsets of its frames; `qp` is below 64.
pub fn base_row(qp: usize, intra: bool) -> usize {
    let lead = if intra { STILL_LEAD } else { 0 };
    (QUALITIES - 1 - qp + lead).min(QUALITIES - 1)
}

/// Quality row of each frame.
pub(super) fn frame_rows(qp: usize, intra: bool) -> [usize; FRAMES] {
    let offsets = if intra { [STILL_OFFSET; FRAMES] } else { FRAME_OFFSETS };
    offsets.map(|offset| (base_row(qp, intra) + offset).min(QUALITIES - 1))
}
