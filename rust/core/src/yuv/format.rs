use crate::{Error, Result};

const MAX_SIDE: u32 = 65535;
const MAX_BIT_DEPTH: u8 = 16;

/// The frame rate of what does not say.
const DEFAULT_FRAME_RATE: (u32, u32) = (25, 1);

pub(super) const UNSPECIFIED: (u8, u8, u8) = (2, 2, 2);

/// What all frames of a file have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// 1 to 65535.
    pub width: u32,
    pub height: u32,
    /// 8 to 16; above 8 bits, samples are 16-bit little-endian words.
    pub bit_depth: u8,
    /// Frames per second, as a fraction.
    pub frame_rate: (u32, u32),
    /// Width to height of a sample.
    pub sample_aspect: (u32, u32),
    /// None if the file does not say.
    pub full_range: Option<bool>,
    /// CICP primaries, transfer and matrix; 2 is unspecified.
    pub color: (u8, u8, u8),
}

impl Format {
    /// Square samples, 25 frames per second, unknown range and colour.
    pub fn new(width: u32, height: u32, bit_depth: u8) -> Self {
        Self {
            width,
            height,
            bit_depth,
            frame_rate: DEFAULT_FRAME_RATE,
            sample_aspect: (1, 1),
            full_range: None,
            color: UNSPECIFIED,
        }
    }

    /// # Errors
    /// `InvalidArgument` that names the first field that is out of range.
    pub fn check(&self) -> Result<()> {
        for (name, side) in [("width", self.width), ("height", self.height)] {
            if !(1..=MAX_SIDE).contains(&side) {
                return Err(Error::invalid(format!("{name}: {side}, want 1 to {MAX_SIDE}")));
            }
        }
        if !(8..=MAX_BIT_DEPTH).contains(&self.bit_depth) {
            return Err(Error::invalid(format!("bit_depth: {}, want 8 to 16", self.bit_depth)));
        }
        for (name, (numerator, denominator)) in
            [("frame_rate", self.frame_rate), ("sample_aspect", self.sample_aspect)]
        {
            if numerator == 0 || denominator == 0 {
                return Err(Error::invalid(format!(
                    "{name}: {numerator}/{denominator}, want both positive"
                )));
            }
        }
        Ok(())
    }

    /// (height, width) of Y, U and V; chroma is rounded up.
    pub fn planes(&self) -> [(usize, usize); 3] {
        let luma = (self.height as usize, self.width as usize);
        let chroma = (luma.0.div_ceil(2), luma.1.div_ceil(2));
        [luma, chroma, chroma]
    }

    /// The largest sample.
    pub(super) fn max_sample(&self) -> u16 {
        u16::MAX >> (MAX_BIT_DEPTH - self.bit_depth)
    }
}
