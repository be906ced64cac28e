//! The sequence header.

use super::VERSION;
use super::fields::{Fields, put_varint};
use crate::{Error, Result};

const MAX_SIDE: u32 = 65535;

/// Chroma format 4:2:0, the only one so far.
const CHROMA_420: u8 = 1;

/// Coded pictures are a multiple of this wide and high.
const CODED_UNIT: u64 = 16;

/// What holds for the whole sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceHeader {
    /// Display size in luma samples, 1 to 65535.
    pub width: u32,
    pub height: u32,
    /// 8 to 16.
    pub bit_depth: u8,
    /// Colour as code points of ITU-T H.273 (CICP); 2 is unspecified.
    pub color_primaries: u8,
    pub transfer: u8,
    pub matrix: u8,
    pub full_range: bool,
    /// Seconds per tick, as a fraction; both at least 1.
    pub timebase: (u32, u32),
    /// Ticks from one frame to the next; 0 when every unit carries its own timing.
    pub frame_ticks: u32,
    /// Width to height of a sample; both at least 1.
    pub sample_aspect: (u32, u32),
    /// Frames that one unit codes, 1 or 2.
    pub frames_per_unit: u8,
    /// Which weights, tables and arithmetic the decoder needs.
    pub model_id: [u8; 8],
}

impl SequenceHeader {
    /// Samples of the coded luma plane.
    pub fn coded_pixels(&self) -> u64 {
        [self.width, self.height]
            .iter()
            .map(|&side| u64::from(side).next_multiple_of(CODED_UNIT))
            .product()
    }

    /// Bytes of the pictures of a unit and of their reference, at the coded size.
    pub fn unit_memory(&self) -> u64 {
        let sample = if self.bit_depth == 8 { 1 } else { 2 };
        let pictures = u64::from(self.frames_per_unit) + 1;
        self.coded_pixels() * 3 / 2 * sample * pictures
    }

    /// # Errors
    /// `InvalidArgument` that names the first field that is out of range.
    pub fn check(&self) -> Result<()> {
        match self.problem() {
            Some(problem) => Err(Error::invalid(problem)),
            None => Ok(()),
        }
    }

    /// What is wrong with the values, if anything.
    fn problem(&self) -> Option<String> {
        let side = |name, value| {
            (!(1..=MAX_SIDE).contains(&value))
                .then(|| format!("{name}: {value}, want 1 to {MAX_SIDE}"))
        };
        let fraction = |name, (numerator, denominator): (u32, u32)| {
            (numerator == 0 || denominator == 0)
                .then(|| format!("{name}: {numerator}/{denominator}, want both positive"))
        };
        side("width", self.width)
            .or_else(|| side("height", self.height))
            .or_else(|| {
                (!(8..=16).contains(&self.bit_depth))
                    .then(|| format!("bit_depth: {}, want 8 to 16", self.bit_depth))
            })
            .or_else(|| fraction("timebase", self.timebase))
            .or_else(|| fraction("sample_aspect", self.sample_aspect))
            .or_else(|| {
                (!(1..=2).contains(&self.frames_per_unit))
                    .then(|| format!("frames_per_unit: {}, want 1 or 2", self.frames_per_unit))
            })
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_vec();
        put_varint(&mut bytes, self.width.into());
        put_varint(&mut bytes, self.height.into());
        bytes.extend([self.bit_depth, CHROMA_420]);
        bytes.extend([self.color_primaries, self.transfer, self.matrix, self.full_range.into()]);
        let (ticks, aspect) = (self.timebase, self.sample_aspect);
        for value in [ticks.0, ticks.1, self.frame_ticks, aspect.0, aspect.1] {
            put_varint(&mut bytes, value.into());
        }
        bytes.push(self.frames_per_unit);
        bytes.extend(self.model_id);
        bytes
    }

    /// The header and the minor version it was written by.
    pub(super) fn parse(payload: &[u8], offset: u64) -> Result<(Self, u8)> {
        let mut fields = Fields::new(payload, offset);
        let version = fields.bytes()?;
        check_major(version)?;
        let [_, minor] = version;
        let (width, height) = (fields.varint32()?, fields.varint32()?);
        let bit_depth = fields.byte()?;
        let chroma = fields.byte()?;
        if chroma != CHROMA_420 {
            return Err(Error::Unsupported { what: format!("chroma format {chroma}") });
        }
        let [color_primaries, transfer, matrix] = fields.bytes()?;
        let range_offset = fields.offset();
        let full_range = match fields.byte()? {
            0 => false,
            1 => true,
            range => return Err(Error::corrupt(range_offset, format!("range flag {range}"))),
        };
        let header = Self {
            width,
            height,
            bit_depth,
            color_primaries,
            transfer,
            matrix,
            full_range,
            timebase: (fields.varint32()?, fields.varint32()?),
            frame_ticks: fields.varint32()?,
            sample_aspect: (fields.varint32()?, fields.varint32()?),
            frames_per_unit: fields.byte()?,
            model_id: fields.bytes()?,
        };
        // Later minor versions may append fields.
        if minor <= VERSION[1] {
            fields.finish()?;
        }
        match header.problem() {
            Some(problem) => Err(Error::corrupt(offset, problem)),
            None => Ok((header, minor)),
        }
    }
}

/// # Errors
/// `Unsupported` for a version whose streams this one cannot read.
pub(super) fn check_major([major, minor]: [u8; 2]) -> Result<()> {
    if major == VERSION[0] {
        Ok(())
    } else {
        let [ours, _] = VERSION;
        Err(Error::Unsupported { what: format!("format {major}.{minor}, this reads {ours}.x") })
    }
}
