//! Bytes to read, some of which may be passed over.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

/// A regular file, in which one can seek, or anything else.
pub(super) enum Input {
    File(BufReader<File>),
    Other(Box<dyn BufRead + Send + Sync>),
}

impl Input {
    /// Passes over bytes, fewer than `count` where the input ends before; tells how many.
    pub(super) fn pass(&mut self, count: u64) -> io::Result<u64> {
        match self {
            Self::File(file) => {
                let left = file.get_ref().metadata()?.len().saturating_sub(file.stream_position()?);
                let count = count.min(left);
                file.seek_relative(i64::try_from(count).map_err(io::Error::other)?)?;
                Ok(count)
            }
            Self::Other(other) => io::copy(&mut other.take(count), &mut io::sink()),
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Other(other) => other.read(buffer),
        }
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::File(file) => file.fill_buf(),
            Self::Other(other) => other.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Self::File(file) => file.consume(count),
            Self::Other(other) => other.consume(count),
        }
    }
}
