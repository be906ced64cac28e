//! What units say, and how their payloads are written and read.

use super::fields::{Fields, put_varint};
use super::frame::{Frame, HAS_HASH, HAS_TIMING, INDEX, INTRA, LAST_HIDDEN};
use super::{Limits, SequenceHeader};
use crate::rans::MAX_LOG2_LANES;
use crate::{Error, Result};

const MAX_QP: u8 = 63;
/// The motion grid of each code, in luma samples; 0 for no field.
const MOTION_STEPS: [u8; 4] = [0, 16, 32, 64];
/// Bytes from one random-access point to the next at least: sync word, framing, two fields.
const SMALLEST_STEP: u64 = 12;

/// One unit and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Where it begins in the stream, in bytes; at the sync word if there is one.
    pub offset: u64,
    /// Bytes it takes, sync word, framing and checksum included.
    pub size: u64,
    pub content: Content,
}

/// What a unit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Sequence(SequenceHeader),
    Coded {
        /// Number of its first shown frame, counting the frames of the sequence from 0.
        frame: u64,
        unit: CodedUnit,
    },
    Metadata {
        key: String,
        value: String,
    },
    End(End),
    Index(Vec<Entry>),
    /// An ancillary unit that this version does not know; nothing is lost without it.
    Unknown,
}

/// An intra or inter unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodedUnit {
    /// Depends on nothing before it.
    pub intra: bool,
    /// 0 (best) to 63 (smallest).
    pub qp: u8,
    /// Distance of motion vectors in luma samples: 16, 32, 64, or 0 for no motion field.
    pub motion_step: u8,
    pub log2_lanes: u8,
    /// Frames of the unit that are shown, 1 to `frames_per_unit`.
    pub shown: u8,
    /// Of the decoder's state after the unit.
    pub feature_hash: Option<u32>,
    /// For each shown frame the ticks since the frame shown before; since time 0 for the first
    /// frame of the sequence.
    pub ticks: Option<Vec<u32>>,
    /// The entropy-coded rest.
    pub stream: Vec<u8>,
}

/// Totals of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Frames shown.
    pub frames: u64,
    /// Intra and inter units.
    pub units: u64,
    /// Of the decoder's state after the last unit.
    pub feature_hash: Option<u32>,
}

/// Where decoding can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of the sync word, in bytes.
    pub offset: u64,
    /// Number of the first frame from there, counting shown frames from 0.
    pub frame: u64,
}

impl CodedUnit {
    /// # Errors
    /// `InvalidArgument` that names the first field that is out of range.
    pub(super) fn check(&self, header: &SequenceHeader) -> Result<()> {
        let at_most = |name, value: u8, limit: u8| {
            (value <= limit)
                .then_some(())
                .ok_or_else(|| Error::invalid(format!("{name}: {value}, want 0 to {limit}")))
        };
        at_most("qp", self.qp, MAX_QP)?;
        at_most("log2_lanes", self.log2_lanes, MAX_LOG2_LANES)?;
        if !MOTION_STEPS.contains(&self.motion_step) || self.intra && self.motion_step != 0 {
            return Err(Error::invalid(format!(
                "motion_step: {}, want 0, or 16, 32 or 64 in inter units",
                self.motion_step
            )));
        }
        if !(1..=header.frames_per_unit).contains(&self.shown) {
            return Err(Error::invalid(format!(
                "shown: {}, want 1 to {}",
                self.shown, header.frames_per_unit
            )));
        }
        match &self.ticks {
            Some(ticks) if ticks.len() != usize::from(self.shown) => Err(Error::invalid(format!(
                "ticks: {} of them for {} shown frames",
                ticks.len(),
                self.shown
            ))),
            None if header.frame_ticks == 0 => {
                Err(Error::invalid("ticks: needed, since the header gives no frame_ticks"))
            }
            _ => Ok(()),
        }
    }

    /// Flags of the type byte.
    pub(super) fn flags(&self, header: &SequenceHeader) -> u8 {
        let flag = |set: bool, flag| if set { flag } else { 0 };
        flag(self.feature_hash.is_some(), HAS_HASH)
            | flag(self.shown < header.frames_per_unit, LAST_HIDDEN)
            | flag(self.ticks.is_some(), HAS_TIMING)
    }

    /// `number` is the count of coded units before this one modulo 32, `frame` that of shown
    /// frames, which random-access units tell. The values have been checked.
    pub(super) fn payload(&self, number: u8, frame: u64) -> Vec<u8> {
        let grid = MOTION_STEPS.iter().position(|&step| step == self.motion_step).unwrap_or(0);
        let mut bytes = Vec::with_capacity(self.stream.len() + 16);
        bytes.push(self.qp | (grid as u8) << 6);
        bytes.push(self.log2_lanes | number << 3);
        if self.intra {
            put_varint(&mut bytes, frame);
        }
        if let Some(hash) = self.feature_hash {
            bytes.extend(hash.to_le_bytes());
        }
        for &ticks in self.ticks.iter().flatten() {
            put_varint(&mut bytes, ticks.into());
        }
        bytes.extend_from_slice(&self.stream);
        bytes
    }

    /// The unit, its number, and that of its first frame if it is a random-access unit.
    pub(super) fn parse(frame: &Frame, header: &SequenceHeader) -> Result<(Self, u8, Option<u64>)> {
        let intra = frame.kind() == INTRA;
        let flags = frame.flags();
        reject_flags(frame, HAS_HASH | LAST_HIDDEN | HAS_TIMING)?;
        let mut fields = Fields::new(frame.payload(), frame.payload_offset());
        let [first, second] = fields.bytes()?;
        let first_frame = intra.then(|| fields.varint()).transpose()?;
        let (grid, log2_lanes, number) = (first >> 6, second & 7, second >> 3);
        let corrupt = |what: String| Err(Error::corrupt(frame.offset, what));
        if intra && grid != 0 {
            return corrupt("random-access unit with a motion field".into());
        }
        if log2_lanes > MAX_LOG2_LANES {
            return corrupt(format!("2^{log2_lanes} lanes"));
        }
        let hidden = u8::from(flags & LAST_HIDDEN != 0);
        if hidden == header.frames_per_unit {
            return corrupt("unit that shows no frame".into());
        }
        if header.frame_ticks == 0 && flags & HAS_TIMING == 0 {
            return corrupt("unit without timing, and the header has none".into());
        }
        let shown = header.frames_per_unit - hidden;
        let unit = Self {
            intra,
            qp: first & MAX_QP,
            motion_step: MOTION_STEPS[usize::from(grid)],
            log2_lanes,
            shown,
            feature_hash: parse_hash(&mut fields, flags)?,
            ticks: (flags & HAS_TIMING != 0)
                .then(|| (0..shown).map(|_| fields.varint32()).collect::<Result<_>>())
                .transpose()?,
            stream: fields.take_rest().to_vec(),
        };
        Ok((unit, number, first_frame))
    }
}

impl End {
    pub(super) fn flags(&self) -> u8 {
        if self.feature_hash.is_some() { HAS_HASH } else { 0 }
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, self.frames);
        put_varint(&mut bytes, self.units);
        bytes.extend(self.feature_hash.iter().flat_map(|hash| hash.to_le_bytes()));
        bytes
    }

    pub(super) fn parse(frame: &Frame) -> Result<Self> {
        reject_flags(frame, HAS_HASH)?;
        let mut fields = Fields::new(frame.payload(), frame.payload_offset());
        let end = Self {
            frames: fields.varint()?,
            units: fields.varint()?,
            feature_hash: parse_hash(&mut fields, frame.flags())?,
        };
        fields.finish()?;
        Ok(end)
    }
}

fn parse_hash(fields: &mut Fields, flags: u8) -> Result<Option<u32>> {
    (flags & HAS_HASH != 0).then(|| fields.u32()).transpose()
}

/// # Errors
/// `Unsupported` if the unit has flags other than `known`.
pub(super) fn reject_flags(frame: &Frame, known: u8) -> Result<()> {
    match frame.flags() & !known {
        0 => Ok(()),
        flags => Err(Error::Unsupported {
            what: format!("flags {flags:#04x} of the unit at byte {}", frame.offset),
        }),
    }
}

/// # Errors
/// `InvalidArgument` if the key is empty or holds a NUL.
pub(super) fn metadata_payload(key: &str, value: &str) -> Result<Vec<u8>> {
    if key.is_empty() || key.contains('\0') {
        return Err(Error::invalid(format!("key: {key:?} is empty or holds a NUL")));
    }
    Ok([key.as_bytes(), &[0], value.as_bytes()].concat())
}

pub(super) fn parse_metadata(frame: &Frame) -> Result<Content> {
    reject_flags(frame, 0)?;
    let text = std::str::from_utf8(frame.payload())
        .map_err(|_| Error::corrupt(frame.payload_offset(), "metadata is not UTF-8"))?;
    match text.split_once('\0') {
        Some((key, value)) if !key.is_empty() => {
            Ok(Content::Metadata { key: key.into(), value: value.into() })
        }
        _ => Err(Error::corrupt(frame.payload_offset(), "metadata without a key")),
    }
}

/// The entries, then the size of the whole unit, so that it can be found from the end of a file.
pub(super) fn index_payload(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut last = Entry { offset: 0, frame: 0 };
    for entry in entries {
        put_varint(&mut bytes, entry.offset - last.offset);
        put_varint(&mut bytes, entry.frame - last.frame);
        last = *entry;
    }
    let payload = bytes.len() + size_of::<u32>();
    let mut length = Vec::new();
    put_varint(&mut length, payload as u64);
    let size = 1 + length.len() + payload + size_of::<u32>();
    bytes.extend((size as u32).to_le_bytes());
    bytes
}

pub(super) fn parse_index(frame: &Frame, limits: &Limits) -> Result<Vec<Entry>> {
    reject_flags(frame, 0)?;
    let corrupt = |what| Error::corrupt(frame.offset, what);
    let (entries, size) =
        frame.payload().split_last_chunk().ok_or_else(|| corrupt("index without its size"))?;
    if u32::from_le_bytes(*size) as usize != frame.size() {
        return Err(corrupt("index that gives another size than it has"));
    }
    // Read twice, so that nothing is allocated for what is wrong, nor more than there are entries.
    let read = |mut take: Option<&mut Vec<Entry>>| -> Result<usize> {
        let mut fields = Fields::new(entries, frame.payload_offset());
        let mut last = Entry { offset: 0, frame: 0 };
        let mut count = 0;
        while !fields.is_empty() {
            let step = fields.varint()?;
            let entry = Entry {
                offset: last.offset.saturating_add(step),
                frame: last.frame.saturating_add(fields.varint()?),
            };
            if step < SMALLEST_STEP || entry.offset >= frame.offset {
                return Err(corrupt("index entries that cannot be"));
            }
            if let Some(entries) = take.as_mut() {
                entries.push(entry);
            }
            last = entry;
            count += 1;
        }
        Ok(count)
    };
    let count = read(None)?;
    // Entries are copied once to whoever asks.
    let (needed, most) = (frame.size() + 2 * count * size_of::<Entry>(), limits.max_memory);
    if needed as u64 > most {
        let what =
            format!("index of {count} entries takes {needed} bytes, at most {most} are wanted");
        return Err(Error::Limit { what: format!("{what} (max_memory)") });
    }
    let mut parsed = Vec::with_capacity(count);
    read(Some(&mut parsed))?;
    Ok(parsed)
}

/// The index of a stream that ends with `tail`, if it has one there and `tail` holds it whole.
/// `stream_size` is in bytes.
///
/// # Errors
/// `Corrupt` if an index is there but contradicts itself or the size of the stream, `Limit` if it
/// is larger than is wanted.
pub fn index_at_end(tail: &[u8], stream_size: u64, limits: &Limits) -> Result<Option<Vec<Entry>>> {
    let trailer = tail.len().checked_sub(2 * size_of::<u32>()).map(|at| &tail[at..]);
    let Some(Some(size)) = trailer.map(|trailer| trailer.first_chunk()) else {
        return Ok(None);
    };
    let size = u32::from_le_bytes(*size) as usize;
    let Some(start) = tail.len().checked_sub(size).filter(|_| size as u64 <= stream_size) else {
        return Ok(None);
    };
    let offset = stream_size - size as u64;
    match Frame::split(&tail[start..], offset, limits) {
        Ok(Some(frame)) if frame.size() == size && frame.kind() == INDEX && frame.is_intact() => {
            parse_index(&frame, limits).map(Some)
        }
        Err(error @ Error::Limit { .. }) => Err(error),
        _ => Ok(None),
    }
}
