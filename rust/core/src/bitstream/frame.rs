//! The frame around every unit: type, length, checksum.

use super::fields::{put_varint, varint};
use super::{Limits, crc32c};
use crate::{Error, Result};

const CHECKSUM_BYTES: usize = 4;

/// Bits 0-2 and bit 7 of the type byte say what a unit is; the others are flags.
pub(super) const KIND_MASK: u8 = 0b1000_0111;
pub(super) const ANCILLARY: u8 = 0b1000_0000;
pub(super) const HAS_HASH: u8 = 0b0000_1000;
pub(super) const LAST_HIDDEN: u8 = 0b0001_0000;
pub(super) const HAS_TIMING: u8 = 0b0010_0000;

pub(super) const SEQUENCE: u8 = 1;
pub(super) const INTRA: u8 = 2;
pub(super) const INTER: u8 = 3;
pub(super) const END: u8 = 4;
pub(super) const INDEX: u8 = 5 | ANCILLARY;
pub(super) const METADATA: u8 = 6 | ANCILLARY;

/// A unit that is completely there; its checksum may still be wrong.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    /// The whole unit.
    bytes: &'a [u8],
    head: usize,
    pub(super) offset: u64,
}

impl<'a> Frame<'a> {
    /// The unit at the start of `data`; None if `data` ends within it.
    ///
    /// # Errors
    /// `Corrupt` for an impossible length, `Limit` for one that the caller does not want.
    pub(super) fn split(data: &'a [u8], offset: u64, limits: &Limits) -> Result<Option<Self>> {
        let Some(after_type) = data.get(1..) else {
            return Ok(None);
        };
        let Some((length, length_size)) = varint(after_type, offset + 1)? else {
            return Ok(None);
        };
        if length > u32::MAX.into() {
            return Err(Error::corrupt(offset + 1, format!("unit of {length} bytes")));
        }
        // What a unit says is copied from where its bytes are collected.
        let most = limits.max_unit_bytes.min(limits.max_memory / 2);
        if length > most {
            return Err(Error::Limit {
                what: format!(
                    "unit of {length} bytes at byte {offset}, at most {most} are wanted \
                     (max_unit_bytes, max_memory)"
                ),
            });
        }
        let head = 1 + length_size;
        let size = (head + CHECKSUM_BYTES) as u64 + length;
        let bytes = usize::try_from(size).ok().and_then(|size| data.get(..size));
        Ok(bytes.map(|bytes| Self { bytes, head, offset }))
    }

    pub(super) fn kind(&self) -> u8 {
        self.bytes[0] & KIND_MASK
    }

    pub(super) fn flags(&self) -> u8 {
        self.bytes[0] & !KIND_MASK
    }

    pub(super) fn payload(&self) -> &'a [u8] {
        self.covered().0.split_at(self.head).1
    }

    pub(super) fn payload_offset(&self) -> u64 {
        self.offset + self.head as u64
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the checksum is right.
    pub(super) fn is_intact(&self) -> bool {
        let (covered, checksum) = self.covered();
        crc32c(covered, 0).to_le_bytes() == checksum
    }

    /// The bytes that the checksum covers, and the checksum.
    fn covered(&self) -> (&'a [u8], &'a [u8]) {
        self.bytes.split_at(self.bytes.len() - CHECKSUM_BYTES)
    }
}

/// A unit around `payload`.
///
/// # Errors
/// `InvalidArgument` if the payload is 4 GiB or more.
pub(super) fn put_unit(bytes: &mut Vec<u8>, kind_and_flags: u8, payload: &[u8]) -> Result<()> {
    if u32::try_from(payload.len()).is_err() {
        return Err(Error::invalid(format!("stream: {} bytes are too many", payload.len())));
    }
    let start = bytes.len();
    bytes.push(kind_and_flags);
    put_varint(bytes, payload.len() as u64);
    bytes.extend_from_slice(payload);
    let checksum = crc32c(&bytes[start..], 0);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(())
}
