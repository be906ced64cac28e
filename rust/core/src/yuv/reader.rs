//! Reads frame by frame.

use std::fs::File;
use std::io::{BufRead, ErrorKind, Read};

use super::input::Input;
use super::{Chroma, Format, Frame, file, y4m};
use crate::{Error, Result};

/// No more than this is allocated before as many bytes have been read.
const FIRST_STEP: usize = 1 << 22;

/// Reads y4m or raw video, one frame at a time.
pub struct Reader {
    input: Input,
    format: Format,
    chroma: Chroma,
    /// Whether a line of text stands before each frame.
    framed: bool,
    offset: u64,
    /// Frames read.
    frames: u64,
}

impl Reader {
    /// A y4m file, after what has been read of it already.
    ///
    /// # Errors
    /// `Io`, and what [`Reader::from_y4m`] returns.
    pub fn y4m_file(file: File, begun: Vec<u8>) -> Result<Self> {
        Self::begin_y4m(file::input(file, begun))
    }

    /// A raw file, which does not tell its format, after what has been read of it already.
    ///
    /// # Errors
    /// `Io`, and what [`Reader::from_yuv`] returns.
    pub fn yuv_file(file: File, begun: Vec<u8>, format: Format) -> Result<Self> {
        Self::begin_yuv(file::input(file, begun), format)
    }

    /// # Errors
    /// `Corrupt` or `Truncated` if it is no y4m file, `Unsupported` if it is not progressive
    /// or its chroma is not 4:2:0, 4:1:1, 4:2:2, 4:4:4 or absent, `Io`.
    pub fn from_y4m(input: Box<dyn BufRead + Send + Sync>) -> Result<Self> {
        Self::begin_y4m(Input::Other(input))
    }

    fn begin_y4m(input: Input) -> Result<Self> {
        let (format, chroma) = (Format::new(0, 0, 8), Chroma::Half);
        let mut reader = Self { input, format, chroma, framed: true, offset: 0, frames: 0 };
        let line = reader.line()?.ok_or_else(|| Error::truncated(0, "no y4m header"))?;
        (reader.format, reader.chroma) = y4m::parse_header(&line)?;
        Ok(reader)
    }

    /// # Errors
    /// `InvalidArgument` if a field of the format is out of range.
    pub fn from_yuv(input: Box<dyn BufRead + Send + Sync>, format: Format) -> Result<Self> {
        Self::begin_yuv(Input::Other(input), format)
    }

    fn begin_yuv(input: Input, format: Format) -> Result<Self> {
        format.check()?;
        Ok(Self { input, format, chroma: Chroma::Half, framed: false, offset: 0, frames: 0 })
    }

    pub fn format(&self) -> &Format {
        &self.format
    }

    /// How the file holds chroma; frames are 4:2:0 whatever it is.
    pub fn chroma(&self) -> Chroma {
        self.chroma
    }

    /// The next frame, None at the end.
    ///
    /// # Errors
    /// `Truncated` if the file ends within a frame, `Corrupt` if no frame is where one must be or
    /// a sample is larger than the bit depth lets it be, `Io`.
    pub fn read(&mut self) -> Result<Option<Frame>> {
        if !self.begin_frame()? {
            return Ok(None);
        }
        let (chroma, depth) = (self.chroma, self.format.bit_depth);
        let luma = self.format.planes()[0];
        let size = chroma.plane(luma);
        let frame = if depth == 8 {
            let (y, u, v) = (self.bytes(luma, 1)?, self.bytes(size, 1)?, self.bytes(size, 1)?);
            self.pass(chroma.alpha(luma) as u64)?;
            Frame::Bits8([y, chroma.halve(u, luma, depth), chroma.halve(v, luma, depth)])
        } else {
            let (y, u, v) = (self.words(luma)?, self.words(size)?, self.words(size)?);
            self.pass(2 * chroma.alpha(luma) as u64)?;
            Frame::Bits16([y, chroma.halve(u, luma, depth), chroma.halve(v, luma, depth)])
        };
        self.frames += 1;
        Ok(Some(frame))
    }

    /// Passes over frames, without reading them where the input is a regular file; tells how many,
    /// fewer than `count` where there are no more.
    ///
    /// # Errors
    /// As [`Reader::read`], but that samples are not looked at.
    pub fn skip(&mut self, count: u64) -> Result<u64> {
        let luma = self.format.planes()[0];
        let chroma = self.chroma.plane(luma);
        let alpha = self.chroma.alpha(luma) as u64;
        let samples = luma.0 as u64 * luma.1 as u64 + 2 * chroma.0 as u64 * chroma.1 as u64;
        let size = (samples + alpha) * if self.format.bit_depth == 8 { 1 } else { 2 };
        for skipped in 0..count {
            if !self.begin_frame()? {
                return Ok(skipped);
            }
            self.pass(size)?;
            self.frames += 1;
        }
        Ok(count)
    }

    /// Passes over bytes that must be there.
    fn pass(&mut self, size: u64) -> Result<()> {
        let passed = self.input.pass(size)?;
        self.offset += passed;
        if passed < size { Err(self.truncated()) } else { Ok(()) }
    }

    /// Reads what stands before a frame; false at the end.
    fn begin_frame(&mut self) -> Result<bool> {
        if !self.framed {
            return Ok(!self.is_at_end()?);
        }
        let start = self.offset;
        match self.line()? {
            None => Ok(false),
            Some(line) if y4m::is_frame(&line) => Ok(true),
            Some(_) => {
                let what = format!("frame {} does not begin as it must", self.frames);
                Err(Error::corrupt(start, what))
            }
        }
    }

    fn words(&mut self, plane: (usize, usize)) -> Result<Vec<u16>> {
        let start = self.offset;
        let bytes = self.bytes(plane, size_of::<u16>())?;
        let pairs = bytes.chunks_exact(size_of::<u16>());
        let words: Vec<u16> = pairs.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let max = self.format.max_sample();
        match words.iter().position(|&word| word > max) {
            None => Ok(words),
            Some(at) => Err(Error::corrupt(
                start + (at * size_of::<u16>()) as u64,
                format!(
                    "sample {} in frame {}, the largest of {} bits is {max}",
                    words[at], self.frames, self.format.bit_depth
                ),
            )),
        }
    }

    /// The bytes of a plane. Memory grows with what is there, whatever size the file claims.
    fn bytes(&mut self, (height, width): (usize, usize), sample: usize) -> Result<Vec<u8>> {
        let size = height
            .checked_mul(width)
            .and_then(|samples| samples.checked_mul(sample))
            .ok_or_else(|| Error::Limit { what: format!("picture of {width} x {height}") })?;
        let mut bytes = Vec::new();
        while bytes.len() < size {
            let step = (size - bytes.len()).min(bytes.len().max(FIRST_STEP));
            bytes.reserve_exact(step);
            let got = self.input.by_ref().take(step as u64).read_to_end(&mut bytes)?;
            self.offset += got as u64;
            if got < step {
                return Err(self.truncated());
            }
        }
        Ok(bytes)
    }

    /// A line without its end, LF or CR LF; None at the end of the file.
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let start = self.offset;
        let mut line = Vec::new();
        self.input.by_ref().take(y4m::MAX_LINE as u64).read_until(b'\n', &mut line)?;
        self.offset += line.len() as u64;
        match line.pop() {
            None => Ok(None),
            Some(b'\n') => {
                line.pop_if(|last| *last == b'\r');
                Ok(Some(line))
            }
            Some(_) if line.len() + 1 == y4m::MAX_LINE => {
                Err(Error::corrupt(start, "y4m line is too long"))
            }
            Some(_) => Err(self.truncated()),
        }
    }

    fn is_at_end(&mut self) -> Result<bool> {
        loop {
            match self.input.fill_buf() {
                Ok(bytes) => return Ok(bytes.is_empty()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn truncated(&self) -> Error {
        Error::truncated(self.offset, format!("frame {} is incomplete", self.frames))
    }
}
