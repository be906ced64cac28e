//! Where the bytes come from and go to.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::input::Input;
use crate::{Error, Result};

/// Stands for standard input or output.
const STANDARD: &str = "-";

const BUFFER_BYTES: usize = 1 << 18;

/// The file at `path`, or standard input.
pub(super) fn open(path: &Path) -> Result<Input> {
    if path == Path::new(STANDARD) {
        let input = BufReader::with_capacity(BUFFER_BYTES, io::stdin());
        return Ok(Input::Other(Box::new(input)));
    }
    let file = File::open(path).map_err(|error| at(path, &error))?;
    let regular = file.metadata().is_ok_and(|found| found.is_file());
    let file = BufReader::with_capacity(BUFFER_BYTES, file);
    Ok(if regular { Input::File(file) } else { Input::Other(Box::new(file)) })
}

/// A file that comes to be, whole, in `finish`, and not at all without it. Standard output and
/// what else is no regular file are written as the bytes come.
pub(super) struct Output {
    /// None once finished.
    sink: Option<BufWriter<Box<dyn Write + Send + Sync>>>,
    replacement: Option<Replacement>,
}

/// A finished file gets from one path to the other.
struct Replacement {
    temporary: PathBuf,
    target: PathBuf,
}

impl Output {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let (sink, replacement): (Box<dyn Write + Send + Sync>, _) = if path == Path::new(STANDARD)
        {
            (Box::new(io::stdout()), None)
        } else if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
            let file = File::options().write(true).open(path).map_err(|error| at(path, &error))?;
            (Box::new(file), None)
        } else {
            // Links keep pointing to what they point to.
            let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
            let mut name = target.as_os_str().to_owned();
            name.push(format!(".{}.part", std::process::id()));
            let temporary = PathBuf::from(name);
            let file = File::create(&temporary).map_err(|error| at(path, &error))?;
            (Box::new(file), Some(Replacement { temporary, target }))
        };
        Ok(Self { sink: Some(BufWriter::with_capacity(BUFFER_BYTES, sink)), replacement })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(sink) = &mut self.sink {
            sink.write_all(bytes)?;
        }
        Ok(())
    }

    /// Whoever reads a pipe gets what has been written.
    pub(super) fn end_of_piece(&mut self) -> Result<()> {
        if let (Some(sink), None) = (&mut self.sink, &self.replacement) {
            sink.flush()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        if let Some(mut sink) = self.sink.take() {
            sink.flush()?;
        }
        if let Some(Replacement { temporary, target }) = &self.replacement {
            fs::rename(temporary, target).map_err(|error| at(target, &error))?;
            self.replacement = None;
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            // What is still buffered is not wanted.
            drop(sink.into_parts());
        }
        if let Some(Replacement { temporary, .. }) = &self.replacement {
            // There is nobody to tell if this fails.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// The error with the path that it is about.
fn at(path: &Path, error: &io::Error) -> Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display())).into()
}
