//! What decoding takes.

use crate::network::{Config, FRAMES};
use crate::unit::Geometry;

/// Beside what grows with the picture: scratch of layers and coders.
const FIXED: u64 = 1 << 20;

/// Bytes that decoding pictures of that size takes, beside the model, pictures that were given out,
/// and the stream.
pub(super) fn work_space(config: &Config, geometry: &Geometry) -> u64 {
    let positions = (geometry.coded_width() * geometry.coded_height() / 64) as u64;
    let pixels = 64 * positions;
    let sample = if geometry.bit_depth == 8 { 1 } else { 2 };
    // Of the coded size: reference, predictions, decoded and filtered ones, copies with edges.
    let pictures = 10 * pixels * 3 / 2 * sample;
    let _ = (config, FRAMES);
    FIXED + pictures
}
