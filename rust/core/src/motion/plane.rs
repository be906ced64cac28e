//! Planes of samples, plain and with repeated edges.

use crate::error::{Error, Result};

/// What a sample may be: `u8` at 8 bits, `u16` at 9 to 16 bits.
pub trait Sample: Copy + Default + Send + Sync + Into<i32> + 'static {
    /// Bit depths that this type stores.
    const BIT_DEPTHS: std::ops::RangeInclusive<u32>;

    /// The value, which must fit.
    fn from_i32(value: i32) -> Self;
}

impl Sample for u8 {
    const BIT_DEPTHS: std::ops::RangeInclusive<u32> = 8..=8;

    #[inline(always)]
    fn from_i32(value: i32) -> Self {
        value as u8
    }
}

impl Sample for u16 {
    const BIT_DEPTHS: std::ops::RangeInclusive<u32> = 9..=16;

    #[inline(always)]
    fn from_i32(value: i32) -> Self {
        value as u16
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
    before: usize,
    /// Repeated samples right and below.
    after: usize,
    stride: usize,
    samples: Vec<S>,
}

impl<S: Sample> Padded<S> {
    pub fn new(plane: &Plane<S>, before: usize, after: usize) -> Self {
        let (width, height) = (plane.width(), plane.height());
        let stride = before + width + after;
        let mut samples = Vec::with_capacity(stride * (before + height + after));
        for y in 0..before + height + after {
            let row = plane.row(y.saturating_sub(before).min(height - 1));
            samples.extend(std::iter::repeat_n(row[0], before));
            samples.extend_from_slice(row);
            samples.extend(std::iter::repeat_n(row[width - 1], after));
        }
        Self { width, height, before, after, stride, samples }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn before(&self) -> usize {
        self.before
    }

    pub fn after(&self) -> usize {
        self.after
    }

    /// The samples from (x, y) to the end of that padded row.
    #[inline(always)]
    pub fn from(&self, x: i32, y: i32) -> &[S] {
        let row = (y + self.before as i32) as usize * self.stride;
        &self.samples[row + (x + self.before as i32) as usize..row + self.stride]
    }
}
