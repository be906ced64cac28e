//! Planes of samples, plain and with repeated edges.

use crate::error::{Error, Result};

/// What a sample may be: `u8` at 8 bits, `u16` at 9 to 16 bits.
pub trait Sample: Copy + Default + Send + Sync + Into<i32> + 'static {
    /// Bit depths that this type stores.
    const BIT_DEPTHS: std::ops::RangeInclusive<u32>;

    /// A sum of samples weighted by one direction of the kernel, less `OFFSET`; narrow
    /// where the samples are, as that is faster.
    type Sum: Copy + Default + Into<i32>;

    /// What makes the sum fit.
    const OFFSET: i32;

    /// The value, which must fit.
    fn from_i32(value: i32) -> Self;

    /// The samples, if they are bytes.
    #[doc(hidden)]
    fn bytes(_samples: &[Self]) -> Option<&[u8]> {
        None
    }

    /// As `bytes`.
    #[doc(hidden)]
    fn bytes_mut(_samples: &mut [Self]) -> Option<&mut [u8]> {
        None
    }

    /// Four samples times four coefficients that sum to 128 and whose magnitudes sum to at most
    /// 176.
    fn weigh(samples: [Self; 4], coefficients: [i16; 4]) -> Self::Sum;
}

impl Sample for u8 {
    const BIT_DEPTHS: std::ops::RangeInclusive<u32> = 8..=8;

    #[inline(always)]
    fn from_i32(value: i32) -> Self {
        value as u8
    }

    fn bytes(samples: &[Self]) -> Option<&[u8]> {
        Some(samples)
    }

    fn bytes_mut(samples: &mut [Self]) -> Option<&mut [u8]> {
        Some(samples)
    }

    type Sum = i16;
    // 128 · 128: samples taken as -128 ... 127, the sum's magnitude is at most 128 · 176 < 2^15.
    const OFFSET: i32 = 1 << 14;

    #[inline(always)]
    fn weigh(samples: [Self; 4], coefficients: [i16; 4]) -> i16 {
        // The products may wrap around; the sum fits, so it comes out right.
        let [a, b, c, d] = samples;
        let [p, q, r, s] = coefficients;
        let left = i16::from(a).wrapping_mul(p).wrapping_add(i16::from(b).wrapping_mul(q));
        let right = i16::from(c).wrapping_mul(r).wrapping_add(i16::from(d).wrapping_mul(s));
        left.wrapping_add(right).wrapping_sub(Self::OFFSET as i16)
    }
}

impl Sample for u16 {
    const BIT_DEPTHS: std::ops::RangeInclusive<u32> = 9..=16;

    #[inline(always)]
    fn from_i32(value: i32) -> Self {
        value as u16
    }

    type Sum = i32;
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn weigh(samples: [Self; 4], coefficients: [i16; 4]) -> i32 {
        let [a, b, c, d] = samples;
        let [p, q, r, s] = coefficients;
        i32::from(a) * i32::from(p)
            + i32::from(b) * i32::from(q)
            + i32::from(c) * i32::from(r)
            + i32::from(d) * i32::from(s)
    }
}

/// A borrowed plane without gaps between its rows.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a, S> {
    width: usize,
    height: usize,
    samples: &'a [S],
}

impl<'a, S: Sample> Plane<'a, S> {
    /// Fails if the plane is empty, wider or higher than 65 535, or of the wrong length.
    pub fn new(width: usize, height: usize, samples: &'a [S]) -> Result<Self> {
        if !(1..=65_535).contains(&width) || !(1..=65_535).contains(&height) {
            return Err(Error::invalid(format!("a plane cannot be {width} x {height}")));
        }
        if samples.len() != width * height {
            return Err(Error::invalid(format!(
                "{} samples for a plane of {width} x {height}",
                samples.len()
            )));
        }
        Ok(Self { width, height, samples })
    }

    /// Samples per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All samples, row by row.
    pub fn samples(&self) -> &'a [S] {
        self.samples
    }

    /// One row.
    pub fn row(&self, y: usize) -> &'a [S] {
        &self.samples[y * self.width..][..self.width]
    }
}

/// A copy of a plane whose edge samples are repeated outside.
pub(crate) struct Padded<S> {
    width: usize,
    height: usize,
    /// Repeated samples left and above.
    before: [usize; 2],
    stride: usize,
    samples: Vec<S>,
}

impl<S: Sample> Padded<S> {
    /// With so many repeated samples left and above, and right and below.
    pub fn new(plane: &Plane<S>, before: [usize; 2], after: [usize; 2]) -> Self {
        let (width, height) = (plane.width(), plane.height());
        let stride = before[0] + width + after[0];
        let mut samples = Vec::with_capacity(stride * (before[1] + height + after[1]));
        for y in 0..before[1] + height + after[1] {
            let row = plane.row(y.saturating_sub(before[1]).min(height - 1));
            samples.extend(std::iter::repeat_n(row[0], before[0]));
            samples.extend_from_slice(row);
            samples.extend(std::iter::repeat_n(row[width - 1], after[0]));
        }
        Self { width, height, before, stride, samples }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    /// Repeated samples left and above.
    pub fn before(&self) -> [usize; 2] {
        self.before
    }

    /// One row of the plane itself.
    #[inline(always)]
    pub fn row(&self, y: usize) -> &[S] {
        &self.from(0, y as i32)[..self.width]
    }

    /// The samples from (x, y) on, and how many lie between the starts of their rows.
    #[inline(always)]
    pub fn block(&self, x: i32, y: i32) -> (&[S], usize) {
        let row = (y + self.before[1] as i32) as usize * self.stride;
        (&self.samples[row + (x + self.before[0] as i32) as usize..], self.stride)
    }

    /// The samples from (x, y) to the end of that padded row.
    #[inline(always)]
    pub fn from(&self, x: i32, y: i32) -> &[S] {
        let row = (y + self.before[1] as i32) as usize * self.stride;
        &self.samples[row + (x + self.before[0] as i32) as usize..row + self.stride]
    }
}
