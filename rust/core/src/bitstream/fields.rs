//! The fields that payloads are made of.

use crate::{Error, Result};

/// Longest varint: 63 bits.
const MAX_VARINT_BYTES: usize = 9;

pub(super) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// A varint at the start of `data` and the bytes it takes; None if `data` ends within it.
pub(super) fn varint(data: &[u8], offset: u64) -> Result<Option<(u64, usize)>> {
    let mut value = 0;
    for (i, &byte) in data.iter().take(MAX_VARINT_BYTES).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return if byte == 0 && i > 0 {
                Err(Error::corrupt(offset, "number is longer than it need be"))
            } else {
                Ok(Some((value, i + 1)))
            };
        }
    }
    if data.len() < MAX_VARINT_BYTES {
        Ok(None)
    } else {
        Err(Error::corrupt(offset, "number is too long"))
    }
}

/// Takes fields from a complete payload.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    /// Of `rest` in the stream.
    offset: u64,
}

impl<'a> Fields<'a> {
    pub(super) fn new(payload: &'a [u8], offset: u64) -> Self {
        Self { rest: payload, offset }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.short())?;
        self.advance(rest);
        Ok(*bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        self.bytes().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn varint(&mut self) -> Result<u64> {
        let (value, size) = varint(self.rest, self.offset)?.ok_or_else(|| self.short())?;
        self.advance(&self.rest[size..]);
        Ok(value)
    }

    /// A varint below 2^32.
    pub(super) fn varint32(&mut self) -> Result<u32> {
        let offset = self.offset;
        let value = self.varint()?;
        u32::try_from(value)
            .map_err(|_| Error::corrupt(offset, format!("number {value} is out of range")))
    }

    pub(super) fn take_rest(&mut self) -> &'a [u8] {
        let taken = self.rest;
        self.advance(&[]);
        taken
    }

    /// # Errors
    /// `Corrupt` if anything is left.
    pub(super) fn finish(&self) -> Result<()> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Error::corrupt(self.offset, format!("{} bytes too many", self.rest.len())))
        }
    }

    fn advance(&mut self, rest: &'a [u8]) {
        self.offset += (self.rest.len() - rest.len()) as u64;
        self.rest = rest;
    }

    fn short(&self) -> Error {
        Error::corrupt(self.offset, "unit is shorter than its fields")
    }
}
