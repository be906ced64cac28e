//! Writes frame by frame.

use std::fs::File;

use super::file::Output;
use super::{Format, FrameRef, y4m};
use crate::{Error, Result};

/// Writes y4m or raw video to a file, which is complete when the writer is closed.
pub struct Writer {
    format: Format,
    framed: bool,
    /// None once closed or after an error.
    output: Option<Output>,
}

impl Writer {
    /// # Errors
    /// `InvalidArgument` if a field of the format is out of range, `Io`.
    pub fn y4m(file: File, format: Format) -> Result<Self> {
        let mut writer = Self::new(file, format, true)?;
        writer.put(y4m::header(&format).as_bytes())?;
        Ok(writer)
    }

    /// # Errors
    /// `InvalidArgument` if a field of the format is out of range.
    pub fn yuv(file: File, format: Format) -> Result<Self> {
        Self::new(file, format, false)
    }

    pub fn format(&self) -> &Format {
        &self.format
    }

    /// # Errors
    /// `InvalidArgument` if the frame is not of the format or the writer is closed; `Io`, after
    /// which the writer is closed.
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
    /// `Io`.
    pub fn close(&mut self) -> Result<()> {
        self.output.take().map_or(Ok(()), Output::finish)
    }

    fn new(file: File, format: Format, framed: bool) -> Result<Self> {
        format.check()?;
        Ok(Self { format, framed, output: Some(Output::new(file)) })
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
        self.with_output(Output::flush)
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
