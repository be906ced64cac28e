//! The run of raw bits at the end of a stream: filled from the last byte backwards, least
//! significant bit first.

use crate::{Error, Result};

/// Longest Exp-Golomb prefix that a 16-bit value needs.
const MAX_PREFIX: u32 = 15;

#[derive(Default)]
pub(super) struct BitWriter {
    /// In the order of reading; the stream holds them reversed.
    bytes: Vec<u8>,
    /// Bits used in the last byte, 0 when it is full.
    used: u32,
}

impl BitWriter {
    pub(super) fn put(&mut self, value: u32, count: u32) {
        for i in 0..count {
            if self.used == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> i & 1) as u8) << self.used;
            }
            self.used = (self.used + 1) % 8;
        }
    }

    /// Exp-Golomb code of order 0.
    pub(super) fn put_golomb(&mut self, value: u32) {
        let plus_one = value + 1;
        let prefix = plus_one.ilog2();
        self.put(1 << prefix, prefix + 1);
        self.put(plus_one & ((1 << prefix) - 1), prefix);
    }

    /// The bytes as they lie in the stream.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.reverse();
        self.bytes
    }
}

/// Reads a run backwards; which bytes it has taken tells where the words must end.
///
/// `floor` is where the words end so far: no byte before it is touched.
pub(super) struct BitReader {
    /// Everything from here on has been taken, save for the unread bits of `byte`.
    start: usize,
    byte: u8,
    left: u32,
}

impl BitReader {
    /// For a stream that ends at `end`.
    pub(super) fn new(end: usize) -> Self {
        Self { start: end, byte: 0, left: 0 }
    }

    /// Position of the first byte that belongs to the bits read so far.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    pub(super) fn get(&mut self, count: u32, data: &[u8], floor: usize) -> Result<u32> {
        let mut value = 0;
        for i in 0..count {
            value |= self.bit(data, floor)? << i;
        }
        Ok(value)
    }

    pub(super) fn get_golomb(&mut self, data: &[u8], floor: usize) -> Result<u32> {
        let mut prefix = 0;
        while self.bit(data, floor)? == 0 {
            prefix += 1;
            if prefix > MAX_PREFIX {
                return Err(Error::corrupt(self.start as u64, "escape code is too long"));
            }
        }
        Ok((1 << prefix) + self.get(prefix, data, floor)? - 1)
    }

    /// The bits of the run's last byte that nobody has read; zero in a valid stream.
    pub(super) fn rest(&self) -> u8 {
        self.byte
    }

    fn bit(&mut self, data: &[u8], floor: usize) -> Result<u32> {
        if self.left == 0 {
            if self.start <= floor {
                return Err(Error::corrupt(self.start as u64, "bypass bits run into the words"));
            }
            self.start -= 1;
            self.byte = data[self.start];
            self.left = 8;
        }
        let bit = self.byte & 1;
        self.byte >>= 1;
        self.left -= 1;
        Ok(bit.into())
    }
}
