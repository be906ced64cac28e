//! Which unit may follow which, and what they add up to.

use super::frame::{ANCILLARY, END, Frame, INDEX, INTER, INTRA, METADATA, SEQUENCE};
use super::unit::{CodedUnit, Content, End, Entry, parse_index, parse_metadata, reject_flags};
use super::{Limits, NUMBER_MODULUS, SYNC, SequenceHeader, crc32c};
use crate::{Error, Result};

/// How far a sequence has been read.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    place: Place,
    header: Option<SequenceHeader>,
    /// Frames, shown or lost, and coded units so far.
    frames: u64,
    units: u64,
    /// The number that the next inter unit must have.
    number: u8,
    /// Checksum of the random-access points so far, as the index lists them.
    entries: u32,
    /// Whether all units since the start have been seen, so that totals and index must be right.
    complete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The header must come; the file said this minor version.
    Start { minor: u8 },
    /// Anything but an inter unit.
    Header,
    /// A repeated header has been read: its random-access unit must follow.
    RandomAccess,
    /// Anything.
    Units,
    /// The index may follow.
    End,
    /// Nothing may follow.
    Index,
}

impl Sequence {
    pub(super) fn new(minor: u8) -> Self {
        Self {
            place: Place::Start { minor },
            header: None,
            frames: 0,
            units: 0,
            number: 0,
            entries: 0,
            complete: true,
        }
    }

    /// The state before a random-access point that is not reached by reading all before it.
    /// Without `header` the point must repeat it.
    pub(super) fn midway(header: Option<SequenceHeader>) -> Self {
        Self { place: Place::Header, header, complete: false, ..Self::new(0) }
    }

    /// The state before a random-access point behind damage: the frames go on being counted.
    pub(super) fn resumed(&self) -> Self {
        Self { frames: self.frames, ..Self::midway(self.header.clone()) }
    }

    pub(super) fn header(&self) -> Option<&SequenceHeader> {
        self.header.as_ref()
    }

    /// Whether the end unit has been read.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.place, Place::End | Place::Index)
    }

    /// # Errors
    /// `Corrupt` if nothing may follow at all, or no more than the index and this is none.
    pub(super) fn check_more(&self, first: u8, offset: u64) -> Result<()> {
        match self.place {
            Place::Index => Err(Error::corrupt(offset, "data after the index")),
            Place::End if first != INDEX => Err(Error::corrupt(offset, "data after the end unit")),
            _ => Ok(()),
        }
    }

    /// Reads an intact unit; `synced` says whether a sync word stands before it.
    pub(super) fn take(&mut self, frame: &Frame, synced: bool, limits: &Limits) -> Result<Content> {
        if synced {
            let offset = frame.offset - SYNC.len() as u64;
            self.entries = add_entry(self.entries, &Entry { offset, frame: self.frames });
        }
        match frame.kind() {
            SEQUENCE => self.take_header(frame, synced, limits),
            INTRA | INTER => self.take_unit(frame, synced, limits),
            kind if synced => Err(misplaced(frame, kind)),
            END if self.place == Place::Units || self.place == Place::Header => {
                self.take_end(frame, limits)
            }
            INDEX if self.place == Place::End => self.take_index(frame, limits),
            kind @ (END | INDEX) => Err(misplaced(frame, kind)),
            kind if kind & ANCILLARY == 0 => Err(Error::Unsupported {
                what: format!("unit of kind {kind} at byte {}", frame.offset),
            }),
            kind if self.place != Place::Units && self.place != Place::Header => {
                Err(misplaced(frame, kind))
            }
            METADATA => parse_metadata(frame),
            _ => Ok(Content::Unknown),
        }
    }

    fn take_header(&mut self, frame: &Frame, synced: bool, limits: &Limits) -> Result<Content> {
        reject_flags(frame, 0)?;
        let (header, minor) = SequenceHeader::parse(frame.payload(), frame.payload_offset())?;
        self.place = match self.place {
            Place::Start { minor: expected } if !synced && minor == expected => Place::Header,
            Place::Start { minor: expected } if !synced => {
                return Err(Error::corrupt(
                    frame.offset,
                    format!("header of minor version {minor} in a file of {expected}"),
                ));
            }
            Place::Header | Place::Units if synced => Place::RandomAccess,
            _ => return Err(misplaced(frame, SEQUENCE)),
        };
        match &self.header {
            Some(first) if *first == header => return Ok(Content::Sequence(header)),
            Some(_) => {
                return Err(Error::corrupt(frame.offset, "repeated header differs from the first"));
            }
            None => {}
        }
        if header.coded_pixels() > limits.max_pixels {
            return Err(Error::Limit {
                what: format!(
                    "picture of {} x {}, at most {} pixels are wanted (max_pixels)",
                    header.width, header.height, limits.max_pixels
                ),
            });
        }
        if header.unit_memory() > limits.max_memory {
            return Err(Error::Limit {
                what: format!(
                    "pictures of {} x {} take {} bytes, at most {} are wanted (max_memory)",
                    header.width,
                    header.height,
                    header.unit_memory(),
                    limits.max_memory
                ),
            });
        }
        self.header = Some(header.clone());
        Ok(Content::Sequence(header))
    }

    fn take_unit(&mut self, frame: &Frame, synced: bool, limits: &Limits) -> Result<Content> {
        let fits = match (frame.kind(), self.place) {
            (INTRA, Place::RandomAccess) => !synced,
            (INTRA, Place::Header | Place::Units) => synced,
            (INTER, Place::Units) => !synced,
            _ => false,
        };
        let header = self.header.as_ref().filter(|_| fits);
        let header = header.ok_or_else(|| misplaced(frame, frame.kind()))?;
        let (unit, number, first_frame) = CodedUnit::parse(frame, header)?;
        // What is lost before a random-access unit does not keep anyone from going on there; its
        // frame number tells, and so does the end unit.
        let in_place = match first_frame {
            Some(frame) => frame >= self.frames,
            None => number == self.number,
        };
        if !in_place {
            return Err(Error::corrupt(frame.offset, "units before this one are lost or swapped"));
        }
        let first = first_frame.unwrap_or(self.frames);
        let frames = first.saturating_add(unit.shown.into());
        check_frames(frames, limits)?;
        self.frames = frames;
        self.units += 1;
        self.number = (number + 1) % NUMBER_MODULUS;
        self.place = Place::Units;
        Ok(Content::Coded { frame: first, unit })
    }

    fn take_end(&mut self, frame: &Frame, limits: &Limits) -> Result<Content> {
        let end = End::parse(frame)?;
        check_frames(end.frames, limits)?;
        if self.complete && (end.frames, end.units) != (self.frames, self.units) {
            return Err(Error::corrupt(
                frame.offset,
                format!(
                    "end unit counts {} frames in {} units, but there were {} in {}",
                    end.frames, end.units, self.frames, self.units
                ),
            ));
        }
        self.place = Place::End;
        Ok(Content::End(end))
    }

    fn take_index(&mut self, frame: &Frame, limits: &Limits) -> Result<Content> {
        let index = parse_index(frame, limits)?;
        if self.complete && index.iter().fold(0, add_entry) != self.entries {
            return Err(Error::corrupt(frame.offset, "index differs from the units there are"));
        }
        self.place = Place::Index;
        Ok(Content::Index(index))
    }
}

fn check_frames(frames: u64, limits: &Limits) -> Result<()> {
    if frames <= limits.max_frames {
        return Ok(());
    }
    let what = format!("{frames} frames, at most {} are wanted (max_frames)", limits.max_frames);
    Err(Error::Limit { what })
}

fn add_entry(entries: u32, entry: &Entry) -> u32 {
    [entry.offset, entry.frame].iter().fold(entries, |crc, value| crc32c(&value.to_le_bytes(), crc))
}

fn misplaced(frame: &Frame, kind: u8) -> Error {
    let name = match kind {
        SEQUENCE => "sequence header",
        INTRA => "random-access unit",
        INTER => "inter unit",
        END => "end unit",
        INDEX => "index",
        METADATA => "metadata",
        _ => "unit",
    };
    Error::corrupt(frame.offset, format!("{name} where none may be"))
}
