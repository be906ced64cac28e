//! Groups whose samples are not all at the same whole position from theirs.

use std::arch::aarch64::*;

use super::{GROUP, READ, TAPS, Tables, Taps, Window, across, down};
use crate::motion::plane::Padded;

/// Rows that samples of a group may be apart to be taken from the same window.
const MOST_DOWN: i16 = 15;

/// Of the samples that a group loads, the first of its own is at most so far in.
const MOST_ACROSS: i16 = (READ - (GROUP + TAPS - 1)) as i16;

/// Samples of a group whose whole positions differ by so little that one window holds them all.
pub(super) struct Spread {
    pub lanes: uint16x8_t,
    /// The smallest.
    x: i32,
    y: i32,
    /// By how much the samples' own are larger.
    dx: int16x8_t,
    dy: int16x8_t,
    /// The largest of `dy`.
    apart: usize,
}

impl Spread {
    /// The whole group, if its first and last samples are the outermost, as they mostly are; `ends`
    /// are their whole positions across and down.
    #[target_feature(enable = "neon")]
    #[inline]
    pub fn of_all(
        whole_x: int16x8_t,
        whole_y: int16x8_t,
        [across, down]: [[i32; 2]; 2],
    ) -> Option<Self> {
        let (x, y) = (across[0].min(across[1]), down[0].min(down[1]));
        let apart = down[0].abs_diff(down[1]);
        if apart > MOST_DOWN as u32 {
            return None;
        }
        let dx = vsubq_s16(whole_x, vdupq_n_s16(x as i16));
        let dy = vsubq_s16(whole_y, vdupq_n_s16(y as i16));
        // Of numbers without signs, negative ones are large.
        let near_x = vcleq_u16(vreinterpretq_u16_s16(dx), vdupq_n_u16(MOST_ACROSS as u16));
        let near_y = vcleq_u16(vreinterpretq_u16_s16(dy), vdupq_n_u16(apart as u16));
        let near = vandq_u16(near_x, near_y);
        let lanes = vdupq_n_u16(u16::MAX);
        let apart = apart as usize;
        (vminvq_u16(near) == u16::MAX).then_some(Self { lanes, x, y, dx, dy, apart })
    }

    /// Of those that are `left`, the uppermost and what is near, and of these the leftmost.
    #[target_feature(enable = "neon")]
    #[inline]
    pub fn new(whole_x: int16x8_t, whole_y: int16x8_t, left: uint16x8_t) -> Self {
        let none = vdupq_n_s16(i16::MAX);
        let y = vminvq_s16(vbslq_s16(left, whole_y, none));
        let dy = vsubq_s16(whole_y, vdupq_n_s16(y));
        let lanes = vandq_u16(left, vcleq_s16(dy, vdupq_n_s16(MOST_DOWN)));
        let x = vminvq_s16(vbslq_s16(lanes, whole_x, none));
        let dx = vsubq_s16(whole_x, vdupq_n_s16(x));
        let lanes = vandq_u16(lanes, vcleq_s16(dx, vdupq_n_s16(MOST_ACROSS)));
        let apart = vmaxvq_s16(vandq_s16(dy, vreinterpretq_s16_u16(lanes))) as usize;
        Self { lanes, x: x.into(), y: y.into(), dx, dy, apart }
    }

    /// Puts the samples in their places in `out`, rows as in `predict_group`.
    #[target_feature(enable = "neon")]
    #[inline]
    pub fn interpolate<const ROWS: usize>(
        &self,
        reference: &Padded<u8>,
        tables: &Tables,
        [x, y]: [i32; 2],
        taps: &Taps,
        out: &mut [uint8x8_t; ROWS],
    ) {
        // Samples an odd number of rows down take each sum from the row below, so that the first two
        // rows come out together, then the next two, and so on.
        let rows = TAPS + ROWS + self.apart / 2 * 2;
        let window = Window::new(reference, x + self.x, y + self.y, rows);
        let further = vmovn_u16(vreinterpretq_u16_s16(self.dx));
        let places = tables.places.map(|places| vadd_u8(places, further));
        let odd = vtstq_s16(self.dy, vdupq_n_s16(1));
        let below = vornq_u16(vreinterpretq_u16_s16(vshrq_n_s16::<1>(self.dy)), self.lanes);
        let across = |row: usize| across(window.load(row), &places, taps);
        let put = |out: &mut uint8x8_t, samples: uint8x8_t, twos: usize| {
            let lanes = vmovn_u16(vceqq_u16(below, vdupq_n_u16(twos as u16)));
            *out = vbsl_u8(lanes, samples, *out);
        };
        let mut last = across(0);
        let mut sum = |row: usize| {
            let next = across(row + 1);
            let sum = vbslq_s16(odd, next, last);
            last = next;
            sum
        };
        let [mut a, mut b] = [sum(0), sum(1)];
        if ROWS == 1 {
            for twos in 0..=self.apart / 2 {
                let (c, d) = (sum(2 * twos + 2), sum(2 * twos + 3));
                put(&mut out[0], down([a, b, c, d], taps), twos);
                (a, b) = (c, d);
            }
            return;
        }
        let mut c = sum(2);
        for row in 0..rows - TAPS {
            let d = sum(row + TAPS - 1);
            let samples = down([a, b, c, d], taps);
            (a, b, c) = (b, c, d);
            for (j, out) in out.iter_mut().enumerate() {
                if row >= j && (row - j).is_multiple_of(2) {
                    put(out, samples, (row - j) / 2);
                }
            }
        }
    }
}
