//! Writes frame by frame.

use std::path::Path;

use super::file::Output;
use super::{Format, FrameRef, y4m};
use crate::{Error, Result};

/// Writes y4m or raw video. The file comes to be when the writer is closed, and not without.
pub struct Writer {
    format: Format,
    framed: bool,
    /// None once closed or after an error.
    output: Option<Output>,
}

impl Writer {
    /// "-" is standard output.
    ///
    /// # Errors
    /// `InvalidArgument` if a field of the format is out of range, `Io`.
    pub fn create_y4m(path: &Path, format: Format) -> Result<Self> {
        let mut writer = Self::create(path, format, true)?;
        writer.put(y4m::header(&format).as_bytes())?;
        Ok(writer)
    }

    /// "-" is standard output.
    ///
    /// # Errors
    /// `InvalidArgument` if a field of the format is out of range, `Io`.
    pub fn create_yuv(path: &Path, format: Format) -> Result<Self> {
        Self::create(path, format, false)
    }

    pub fn format(&self) -> &Format {
        &self.format
    }

    /// # Errors
    /// `InvalidArgument` if the frame is not of the format or the writer is closed; `Io`, after
    /// which the writer is closed and no file comes to be.
    pub fn write(&mut self, frame: FrameRef) -> Result<()> {
        match frame {
            FrameRef::Bits8(planes) if self.format.bit_depth == 8 => {
                self.check_sizes(planes.map(<[u8]>::len))?;
                self.begin_frame()?;
                planes.iter().try_for_each(|plane| self.put(plane))?;
                self.end_frame()
            }
            FrameRef::Bits16(planes) if self.format.bit_depth > 8 => {
                self.check_sizes(planes.map(<[u16]>::len))?;
                self.check_samples(planes)?;
                self.begin_frame()?;
                planes.iter().try_for_each(|plane| {
                    let bytes: Vec<u8> = plane.iter().flat_map(|word| word.to_le_bytes()).collect();
                    self.put(&bytes)
                })?;
                self.end_frame()
            }
            _ => Err(Error::invalid(format!(
                "frame: not the kind of samples for {} bits",
                self.format.bit_depth
            ))),
        }
    }

    /// Completes the file. Does nothing when called again.
    ///
    /// # Errors
    /// `Io`; then no file comes to be.
    pub fn close(&mut self) -> Result<()> {
        self.output.take().map_or(Ok(()), Output::finish)
    }

    fn create(path: &Path, format: Format, framed: bool) -> Result<Self> {
        format.check()?;
        Ok(Self { format, framed, output: Some(Output::create(path)?) })
    }

    fn check_sizes(&self, sizes: [usize; 3]) -> Result<()> {
        for (i, ((height, width), size)) in self.format.planes().into_iter().zip(sizes).enumerate()
        {
            if height * width != size {
                return Err(Error::invalid(format!(
                    "frame: plane {i} has {size} samples, want {height} x {width}"
                )));
            }
        }
        Ok(())
    }

    fn check_samples(&self, planes: [&[u16]; 3]) -> Result<()> {
        let max = self.format.max_sample();
        match planes.iter().flat_map(|plane| plane.iter()).find(|&&sample| sample > max) {
            None => Ok(()),
            Some(sample) => {
                Err(Error::invalid(format!("frame: sample {sample}, the largest is {max}")))
            }
        }
    }

    fn begin_frame(&mut self) -> Result<()> {
        if self.framed {
            self.put(format!("{}\n", y4m::FRAME).as_bytes())?;
        }
        Ok(())
    }

    fn end_frame(&mut self) -> Result<()> {
        self.with_output(Output::end_of_piece)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.with_output(|output| output.write(bytes))
    }

    fn with_output(&mut self, work: impl FnOnce(&mut Output) -> Result<()>) -> Result<()> {
        let output = self.output.as_mut().ok_or_else(|| Error::invalid("the file is closed"))?;
        let result = work(output);
        if result.is_err() {
            self.output = None;
        }
        result
    }
}
