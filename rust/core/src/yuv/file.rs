//! Where the bytes come from and go to.

use std::fs::File;
use std::io::{BufReader, BufWriter, Cursor, Read, Write};

use super::input::Input;
use crate::Result;

const BUFFER_BYTES: usize = 1 << 18;

/// A file from where it stands, after what has been read of it already.
pub(super) fn input(file: File, begun: Vec<u8>) -> Input {
    let regular = file.metadata().is_ok_and(|found| found.is_file());
    if regular && begun.is_empty() {
        return Input::File(BufReader::with_capacity(BUFFER_BYTES, file));
    }
    let whole = Cursor::new(begun).chain(file);
    Input::Other(Box::new(BufReader::with_capacity(BUFFER_BYTES, whole)))
}

/// A file to write front to back. Without `finish` it lacks what was written last.
pub(super) struct Output(Option<BufWriter<File>>);

impl Output {
    pub(super) fn new(file: File) -> Self {
        Self(Some(BufWriter::with_capacity(BUFFER_BYTES, file)))
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(file) = &mut self.0 {
            file.write_all(bytes)?;
        }
        Ok(())
    }

    /// Whoever reads a pipe gets what has been written.
    pub(super) fn flush(&mut self) -> Result<()> {
        if let Some(file) = &mut self.0 {
            file.flush()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            // After an error nobody wants what is still buffered.
            drop(file.into_parts());
        }
    }
}
