//! What decoding takes.

use crate::network::{Config, FRAMES};
use crate::unit::Geometry;

/// Bytes beside what grows with the picture: scratch of layers and coders.
const FIXED: u64 = 1 << 20;

/// Pictures of the coded size at once: reference, predictions, decoded and shown ones, and copies
/// with edges.
const PICTURES: u64 = 10;

/// Luma samples of a position.
const POSITION: u64 = 64;

/// Channels of a packed frame.
const FRAME_CHANNELS: usize = 96;

/// Of what was allocated and freed again, allocators keep some: at most this share of what is needed,
/// and so many bytes. Processes were seen to grow by 0.8 to 1.0 times the need at 640x360, 1280x720 and
/// 2560x1440, by 1.2 times at 1920x1080.
const KEPT_SHARE: u64 = 3;
const KEPT_MOST: u64 = 640 << 20;

/// Bytes by which decoding pictures of that size lets a process grow at most, beside the model, the
/// stream, and frames that were given out.
pub(super) fn work_space(config: &Config, geometry: &Geometry) -> u64 {
    let needed = allocated(config, geometry);
    needed + (needed / KEPT_SHARE).min(KEPT_MOST)
}

/// Bytes that are allocated at once.
///
/// It follows [`crate::network::Session`] and [`crate::unit::UnitDecoder`]; a test counts what they
/// allocate.
fn allocated(config: &Config, geometry: &Geometry) -> u64 {
    // In 64 bits everywhere: what does not fit an address space is to be refused, not to wrap.
    let pixels = geometry.coded_width() as u64 * geometry.coded_height() as u64;
    let positions = pixels / POSITION;
    let sample = if geometry.bit_depth == 8 { 1 } else { 2 };
    let pictures = PICTURES * pixels * 3 / 2 * sample;
    let (trunk, latent) = (config.trunk, config.latent / 4);
    let (inner, frames) = (config.entropy.div_ceil(2), FRAMES * FRAME_CHANNELS);
    // Floats of a position in each step. The last feature, tap and context are always there.
    let context = 5 * trunk + frames;
    let prior = 3 * trunk + trunk.max(7 * latent) + 4 * inner + config.prior;
    let feature = 8 * trunk + 5 * latent + inner;
    let frame = 3 * trunk + 3 * config.head + 2 * frames;
    let floats = context.max(prior).max(feature).max(frame) as u64 * positions;
    FIXED + pictures + floats * size_of::<f32>() as u64
}
