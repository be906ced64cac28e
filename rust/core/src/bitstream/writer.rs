//! Turns units into bytes; never seeks.

use super::frame::{END, INDEX, INTER, INTRA, METADATA, SEQUENCE, put_unit};
use super::unit::{CodedUnit, End, Entry, index_payload, metadata_payload};
use super::{MAGIC, NUMBER_MODULUS, SYNC, SequenceHeader, VERSION};
use crate::{Error, Result};

/// Returns the bytes of one piece after the other, to be written in the order of the calls.
pub struct Writer {
    header: SequenceHeader,
    progress: Progress,
    /// Bytes, shown frames and coded units so far.
    size: u64,
    frames: u64,
    units: u64,
    index: Vec<Entry>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Fresh,
    Started,
    Ended,
}

impl Writer {
    /// # Errors
    /// `InvalidArgument` that names the first field of the header that is out of range.
    pub fn new(header: SequenceHeader) -> Result<Self> {
        header.check()?;
        Ok(Self {
            header,
            progress: Progress::Fresh,
            size: 0,
            frames: 0,
            units: 0,
            index: Vec::new(),
        })
    }

    /// The first bytes of the stream, sequence header included.
    ///
    /// # Errors
    /// `InvalidArgument` when called twice.
    pub fn start(&mut self) -> Result<Vec<u8>> {
        self.expect(Progress::Fresh)?;
        self.progress = Progress::Started;
        let mut bytes = [&MAGIC[..], &VERSION].concat();
        put_unit(&mut bytes, SEQUENCE, &self.header.payload())?;
        Ok(self.written(bytes))
    }

    /// A note such as a title; of no use to the decoder.
    ///
    /// # Errors
    /// `InvalidArgument` if the key is empty or holds a NUL, or outside of `start` … `end`.
    pub fn metadata(&mut self, key: &str, value: &str) -> Result<Vec<u8>> {
        self.expect(Progress::Started)?;
        let mut bytes = Vec::new();
        put_unit(&mut bytes, METADATA, &metadata_payload(key, value)?)?;
        Ok(self.written(bytes))
    }

    /// An intra or inter unit. `repeat_header` puts the sequence header before an intra unit, for
    /// readers that join midway.
    ///
    /// # Errors
    /// `InvalidArgument` for a field out of range, an inter unit at the beginning or with a header
    /// to repeat, or outside of `start` … `end`.
    pub fn unit(&mut self, unit: &CodedUnit, repeat_header: bool) -> Result<Vec<u8>> {
        self.expect(Progress::Started)?;
        unit.check(&self.header)?;
        if !unit.intra && self.units == 0 {
            return Err(Error::invalid("intra: the first unit must be"));
        }
        if !unit.intra && repeat_header {
            return Err(Error::invalid("repeat_header: only intra units can have it"));
        }
        let number = (self.units % u64::from(NUMBER_MODULUS)) as u8;
        let mut bytes = Vec::with_capacity(unit.stream.len() + 64);
        if unit.intra {
            bytes.extend(SYNC);
        }
        if repeat_header {
            put_unit(&mut bytes, SEQUENCE, &self.header.payload())?;
        }
        let kind = if unit.intra { INTRA } else { INTER };
        let payload = unit.payload(number, self.frames);
        put_unit(&mut bytes, kind | unit.flags(&self.header), &payload)?;
        if unit.intra {
            self.index.push(Entry { offset: self.size, frame: self.frames });
        }
        self.frames += u64::from(unit.shown);
        self.units += 1;
        Ok(self.written(bytes))
    }

    /// End unit and index.
    ///
    /// # Errors
    /// `InvalidArgument` before `start` or when called twice.
    pub fn end(&mut self, feature_hash: Option<u32>) -> Result<Vec<u8>> {
        self.expect(Progress::Started)?;
        self.progress = Progress::Ended;
        let end = End { frames: self.frames, units: self.units, feature_hash };
        let mut bytes = Vec::new();
        put_unit(&mut bytes, END | end.flags(), &end.payload())?;
        put_unit(&mut bytes, INDEX, &index_payload(&self.index))?;
        Ok(self.written(bytes))
    }

    fn expect(&self, progress: Progress) -> Result<()> {
        match (self.progress, progress) {
            (now, wanted) if now == wanted => Ok(()),
            (Progress::Fresh, _) => Err(Error::invalid("the stream has not been started")),
            (Progress::Started, _) => Err(Error::invalid("the stream has already been started")),
            (Progress::Ended, _) => Err(Error::invalid("the stream has ended")),
        }
    }

    fn written(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        self.size += bytes.len() as u64;
        bytes
    }
}
