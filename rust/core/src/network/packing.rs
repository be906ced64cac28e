//! Planes to packed frames and back.
//!
//! A packed frame is `[h/8, w/8, 96]`: Y in squares of 8, U and V of 4, each sample of a square a
//! channel. Grey is zero, and the range of codes is one.

use rayon::prelude::*;

use super::float::{DefaultEnvironment, round};
use super::map::Map;
use crate::motion::{Plane, Sample};
use crate::{Error, Result};

/// Channels of a packed frame.
pub(super) const FRAME_CHANNELS: usize = 96;

/// Samples of a square of each plane, its side, and the channel of the first.
const PLANES: [(usize, usize); 3] = [(8, 0), (4, 64), (4, 80)];

/// Y, U and V, the latter of half the width and height.
pub type Planes<'a, S> = [Plane<'a, S>; 3];

/// # Errors
/// Unless the planes are of the size, luma's.
pub(super) fn check<S: Sample>(planes: &Planes<S>, width: usize, height: usize) -> Result<()> {
    for (plane, (square, _)) in planes.iter().zip(PLANES) {
        let (w, h) = (width / 8 * square, height / 8 * square);
        if (plane.width(), plane.height()) != (w, h) {
            let (width, height) = (plane.width(), plane.height());
            return Err(Error::invalid(format!("a plane of {width} x {height}, not {w} x {h}")));
        }
    }
    Ok(())
}

/// Frames of checked planes, the channels of one after the other's: less others, if there are any.
pub(super) fn pack<S: Sample>(
    frames: &[Planes<S>],
    less: Option<&[Planes<S>]>,
    bit_depth: u32,
) -> Map {
    let (middle, range) = levels(bit_depth);
    let [luma, ..] = &frames[0];
    let channels = frames.len() * FRAME_CHANNELS;
    Map::of_rows(luma.height() / 8, luma.width() / 8, channels, |y, row| {
        let value = |sample: S| (sample.into() as f32 - middle) / range;
        for (k, planes) in frames.iter().enumerate() {
            for (plane, (square, first)) in PLANES.into_iter().enumerate() {
                for down in 0..square {
                    let samples = planes[plane].row(y * square + down).chunks_exact(square);
                    let first = k * FRAME_CHANNELS + first + down * square;
                    for (position, samples) in row.chunks_exact_mut(channels).zip(samples) {
                        let to = &mut position[first..first + square];
                        to.iter_mut().zip(samples).for_each(|(to, &sample)| *to = value(sample));
                    }
                    let Some(less) = less else { continue };
                    let samples = less[k][plane].row(y * square + down).chunks_exact(square);
                    for (position, samples) in row.chunks_exact_mut(channels).zip(samples) {
                        let to = &mut position[first..first + square];
                        to.iter_mut().zip(samples).for_each(|(to, &sample)| *to -= value(sample));
                    }
                }
            }
        }
    })
}

/// Rounded and clamped samples of one packed frame.
pub(super) fn unpack<S: Sample>(frame: &Map, bit_depth: u32) -> [Vec<S>; 3] {
    let (middle, range) = levels(bit_depth);
    PLANES.map(|(square, first)| {
        let width = frame.width * square;
        let mut plane = vec![S::default(); frame.height * square * width];
        let lines = plane.par_chunks_exact_mut(width).with_min_len(4 * square);
        lines.enumerate().for_each(|(y, to)| {
            let _environment = DefaultEnvironment::enter();
            let positions = frame.row(y / square).chunks_exact(FRAME_CHANNELS);
            for (to, position) in to.chunks_exact_mut(square).zip(positions) {
                let values = &position[first + y % square * square..][..square];
                for (to, value) in to.iter_mut().zip(values) {
                    let code = (value * range + middle).clamp(0.0, range - 1.0);
                    *to = S::from_i32(round(code) as i32);
                }
            }
        });
        plane
    })
}

/// The code of grey, and the number of codes.
fn levels(bit_depth: u32) -> (f32, f32) {
    ((1u32 << (bit_depth - 1)) as f32, (1u32 << bit_depth) as f32)
}
