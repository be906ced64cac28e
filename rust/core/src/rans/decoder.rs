//! Takes a stream apart, symbol by symbol.

use std::borrow::Cow;

use super::bypass::BitReader;
use super::kernels::{self, SLACK, Words};
use super::tables::{ESCAPE, Lookup};
use super::{LOWER_BOUND, Loops, MAX_LANES, MAX_LOG2_LANES, STATE_BYTES, States};
use super::{Level, TABLE_BITS, TABLE_SIZE, Tables, WORD_BYTES, dispatch};
use crate::{Error, Result};

/// Elements that `get_slice` takes at once where some are skipped.
const BLOCK: usize = 1 << 14;

/// Decodes one stream; the calls must mirror the encoder's.
///
/// Whatever the bytes, decoding ends with an error or with symbols in range. After an error the
/// decoder is of no more use.
pub struct Decoder<'a> {
    data: Cow<'a, [u8]>,
    lanes: Lanes,
    /// Where the next word begins.
    position: usize,
    bits: BitReader,
    /// None: what is best on this processor.
    /// None: what is best on this processor.
    loops: Option<Loops>,
}

struct Lanes {
    states: States,
    log2: u8,
    /// The lane of the next symbol, modulo the number of lanes.
    next: usize,
}

impl Lanes {
    fn mask(&self) -> usize {
        (1 << self.log2) - 1
    }
}

impl<'a> Decoder<'a> {
    /// # Errors
    /// `InvalidArgument` if `log2_lanes` is above 6; `Corrupt` if the initial states are not all
    /// there or out of range.
    pub fn new(data: impl Into<Cow<'a, [u8]>>, log2_lanes: u8) -> Result<Self> {
        let data = data.into();
        if log2_lanes > MAX_LOG2_LANES {
            return Err(Error::invalid(format!(
                "log2_lanes: {log2_lanes}, want at most {MAX_LOG2_LANES}"
            )));
        }
        let count = 1 << log2_lanes;
        let Some(initial) = data.get(..count * STATE_BYTES) else {
            return Err(Error::corrupt(
                data.len() as u64,
                format!("stream is too short for the states of {count} lanes"),
            ));
        };
        let mut states = [LOWER_BOUND; MAX_LANES];
        for (i, (state, bytes)) in
            states.iter_mut().zip(initial.chunks_exact(STATE_BYTES)).enumerate()
        {
            *state = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            if *state < LOWER_BOUND {
                return Err(Error::corrupt(
                    (i * STATE_BYTES) as u64,
                    format!("state {:#x} of lane {i} is out of range", *state),
                ));
            }
        }
        Ok(Self {
            lanes: Lanes { states, log2: log2_lanes, next: 0 },
            position: initial.len(),
            bits: BitReader::new(data.len()),
            data,
            loops: None,
        })
    }

    /// Uses these loops instead of those that are fastest. For tests and measurements: the symbols
    /// are the same.
    pub fn set_loops(&mut self, loops: Loops) {
        self.loops = Some(loops);
    }

    /// The next symbol is on lane 0 again.
    pub fn begin_segment(&mut self) {
        self.lanes.next = 0;
    }

    /// The next symbol, which was coded with table `index`.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such table, `Corrupt` if the stream does not go on or
    /// holds an impossible escape.
    #[inline]
    pub fn get(&mut self, tables: &Tables, index: u8) -> Result<i32> {
        let Some(lookup) = tables.lookup(index)? else {
            return Ok(0);
        };
        match self.step(lookup)?.stored() {
            ESCAPE => self.get_escaped(tables.largest(index)).map(i32::from),
            symbol => Ok(symbol.into()),
        }
    }

    /// `count` raw bits.
    ///
    /// # Errors
    /// `InvalidArgument` if `count` is above 32, `Corrupt` if the stream does not hold as many.
    pub fn get_bits(&mut self, count: u32) -> Result<u32> {
        if count > 32 {
            return Err(Error::invalid(format!("count: {count}, want at most 32")));
        }
        self.bits.get(count, &self.data, self.position)
    }

    /// A whole segment: `symbols[i]` was coded with table `indexes[i]`.
    ///
    /// # Errors
    /// As `get`, and `InvalidArgument` if the lengths differ.
    pub fn get_slice(
        &mut self,
        tables: &Tables,
        indexes: &[u8],
        symbols: &mut [i16],
    ) -> Result<()> {
        if indexes.len() != symbols.len() {
            return Err(Error::invalid(format!(
                "symbols: room for {}, but {} indexes",
                symbols.len(),
                indexes.len()
            )));
        }
        tables.check(indexes)?;
        self.begin_segment();
        let skip = tables.skip();
        if skip == 0 {
            return self.get_coded(tables, indexes, symbols);
        }
        let level = self.loops.map_or_else(Level::highest, |loops| loops.level);
        let mut coded = [0; BLOCK + SLACK];
        for (indexes, symbols) in indexes.chunks(BLOCK).zip(symbols.chunks_mut(BLOCK)) {
            let count = kernels::compact(level, indexes, skip, &mut coded);
            self.get_coded(tables, &coded[..count], &mut symbols[..count])?;
            if count < symbols.len() {
                kernels::expand(level, indexes, skip, count, symbols);
            }
        }
        Ok(())
    }

    /// Symbols of tables that exist and are not skipped, from the next lane on.
    fn get_coded(&mut self, tables: &Tables, indexes: &[u8], symbols: &mut [i16]) -> Result<()> {
        let log2_lanes = self.lanes.log2;
        let loops = self.loops.unwrap_or_else(|| dispatch::for_decoding(log2_lanes));
        let lanes = self.lanes.mask() + 1;
        // The loops begin on lane 0.
        let turned = self.lanes.next & self.lanes.mask();
        self.lanes.states[..lanes].rotate_left(turned);
        let mut done = 0;
        loop {
            let (indexes, symbols) = (&indexes[done..], &mut symbols[done..]);
            let limit = self.bits.start();
            let mut words = Words { data: &self.data, position: self.position, limit };
            let lookups = tables.lookups();
            let states = &mut self.lanes.states;
            let count =
                kernels::decode(loops, log2_lanes, lookups, states, &mut words, indexes, symbols);
            self.position = words.position;
            done += count;
            if count == 0 || !self.get_escapes(tables, &indexes[..count], &mut symbols[..count])? {
                break;
            }
        }
        self.lanes.next = 0;
        for (&index, symbol) in indexes.iter().zip(symbols).skip(done) {
            // `get` returns nothing beyond 16 bits.
            *symbol = self.get(tables, index)? as i16;
        }
        self.lanes.states[..lanes].rotate_right(turned);
        self.lanes.next += turned;
        Ok(())
    }

    /// Reads the escapes among symbols that have just been decoded; false if there are none.
    ///
    /// Only the end can hold some, since the loops stop after a round with an escape. That the
    /// words of the round have been taken already makes no difference: words and bits that do not
    /// meet afterwards cannot have met before.
    fn get_escapes(
        &mut self,
        tables: &Tables,
        indexes: &[u8],
        symbols: &mut [i16],
    ) -> Result<bool> {
        let tail = symbols.len().saturating_sub(MAX_LANES);
        let mut found = false;
        for (&index, symbol) in indexes[tail..].iter().zip(&mut symbols[tail..]) {
            if *symbol == ESCAPE {
                *symbol = self.get_escaped(tables.largest(index))?;
                found = true;
            }
        }
        Ok(found)
    }

    /// Checks that all was consumed and that every lane is where the encoder began.
    ///
    /// # Errors
    /// `Corrupt` if not.
    pub fn finish(&self) -> Result<()> {
        let position = self.position as u64;
        if let Some(lane) = self.lanes.states.iter().position(|&state| state != LOWER_BOUND) {
            return Err(Error::corrupt(position, format!("lane {lane} does not end as it must")));
        }
        match self.bits.start() - self.position {
            0 if self.bits.rest() == 0 => Ok(()),
            0 => Err(Error::corrupt(position, "unused bypass bits are not zero")),
            left => Err(Error::corrupt(position, format!("{left} bytes of the stream are left"))),
        }
    }

    /// One rANS step on the next lane.
    #[inline]
    fn step(&mut self, lookup: &[Lookup; TABLE_SIZE]) -> Result<Lookup> {
        let lane = self.lanes.next & self.lanes.mask();
        let mut state = self.lanes.states[lane];
        let found = lookup[state as usize % TABLE_SIZE];
        state = found.frequency() * (state >> TABLE_BITS) + found.distance();
        if state < LOWER_BOUND {
            state = state << 16 | u32::from(self.word()?);
        }
        self.lanes.states[lane] = state;
        self.lanes.next = lane + 1;
        Ok(found)
    }

    #[inline]
    fn word(&mut self) -> Result<u16> {
        match self.data[..self.bits.start()].get(self.position..self.position + WORD_BYTES) {
            Some(&[low, high]) => {
                self.position += WORD_BYTES;
                Ok(u16::from_le_bytes([low, high]))
            }
            _ => Err(Error::corrupt(self.position as u64, "words run into the bypass bits")),
        }
    }

    /// A value beyond ±`largest`.
    #[cold]
    fn get_escaped(&mut self, largest: i32) -> Result<i16> {
        let magnitude = self.bits.get_golomb(&self.data, self.position)? as i32 + largest + 1;
        let symbol =
            if self.bits.get(1, &self.data, self.position)? == 0 { magnitude } else { -magnitude };
        i16::try_from(symbol).map_err(|_| {
            let offset = self.bits.start() as u64;
            Error::corrupt(offset, format!("escaped symbol {symbol} does not fit 16 bits"))
        })
    }
}
