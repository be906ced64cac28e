//! Collects what is to be coded and writes it in one go.

use super::bypass::BitWriter;
use super::tables::{Code, Interval};
use super::{LOWER_BOUND, MAX_LOG2_LANES, TABLE_BITS, Tables};
use super::{STATE_BYTES, WORD_BYTES};
use crate::{Error, Result};

/// The bytes of the lanes' states are at most one part in so many of the rest.
const PAYLOAD_PER_STATES: usize = 200;

/// Collects segments in decoding order; `finish` codes them all, last symbol first.
#[derive(Default)]
pub struct Encoder {
    intervals: Vec<Interval>,
    /// Where in `intervals` each segment but the first begins.
    segments: Vec<usize>,
    bits: BitWriter,
}

impl Encoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// The next symbol is on lane 0 again.
    pub fn begin_segment(&mut self) {
        self.segments.push(self.intervals.len());
    }

    /// Adds one symbol, coded with table `index`.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such table, the symbol does not fit 16 bits, or it is not
    /// 0 and the table is one that `tables` skips. The encoder is then as it was.
    #[inline]
    pub fn put(&mut self, tables: &Tables, index: u8, symbol: i32) -> Result<()> {
        match tables.code(index, symbol)? {
            Code::Skipped => {}
            Code::Symbol(interval) => self.intervals.push(interval),
            Code::Escaped(interval, value, negative) => {
                self.intervals.push(interval);
                self.bits.put_golomb(value);
                self.bits.put(negative.into(), 1);
            }
        }
        Ok(())
    }

    /// Adds the low `count` bits of `value` as they are, outside of any lane.
    ///
    /// # Errors
    /// `InvalidArgument` if `count` is above 32 or `value` has more bits.
    pub fn put_bits(&mut self, value: u32, count: u32) -> Result<()> {
        if count > 32 || u64::from(value) >> count != 0 {
            return Err(Error::invalid(format!("value: {value} does not fit {count} bits")));
        }
        self.bits.put(value, count);
        Ok(())
    }

    /// Adds a whole segment: `symbols[i]` coded with table `indexes[i]`.
    ///
    /// # Errors
    /// `InvalidArgument` if the lengths differ or for what `put` refuses; what came before the
    /// refused symbol has been added, so the encoder is of no more use.
    pub fn put_slice(&mut self, tables: &Tables, indexes: &[u8], symbols: &[i16]) -> Result<()> {
        if indexes.len() != symbols.len() {
            return Err(Error::invalid(format!(
                "symbols: {} of them, but {} indexes",
                symbols.len(),
                indexes.len()
            )));
        }
        self.begin_segment();
        self.intervals.reserve(symbols.len());
        for (&index, &symbol) in indexes.iter().zip(symbols) {
            self.put(tables, index, symbol.into())?;
        }
        Ok(())
    }

    /// Codes everything on 2^`log2_lanes` lanes; without it, on as many as keep their states
    /// within 0.5 % of the stream, at least one. Returns log2 of the lanes and the stream.
    ///
    /// # Errors
    /// `InvalidArgument` if `log2_lanes` is above 6.
    pub fn finish(self, log2_lanes: Option<u8>) -> Result<(u8, Vec<u8>)> {
        let bypass = self.bits.finish();
        let code = |log2_lanes| code(&self.intervals, &self.segments, &bypass, log2_lanes);
        match log2_lanes {
            Some(log2_lanes) if log2_lanes > MAX_LOG2_LANES => Err(Error::invalid(format!(
                "log2_lanes: {log2_lanes}, want at most {MAX_LOG2_LANES}"
            ))),
            Some(log2_lanes) => Ok((log2_lanes, code(log2_lanes))),
            None => {
                let widest = code(MAX_LOG2_LANES);
                match default_log2_lanes(widest.len() - (STATE_BYTES << MAX_LOG2_LANES)) {
                    MAX_LOG2_LANES => Ok((MAX_LOG2_LANES, widest)),
                    log2_lanes => Ok((log2_lanes, code(log2_lanes))),
                }
            }
        }
    }
}

/// For a stream that has `payload` bytes besides the states when it is on all lanes.
fn default_log2_lanes(payload: usize) -> u8 {
    let lanes = payload / (PAYLOAD_PER_STATES * STATE_BYTES);
    lanes.checked_ilog2().map_or(0, |log2| (log2 as u8).min(MAX_LOG2_LANES))
}

fn code(intervals: &[Interval], segments: &[usize], bypass: &[u8], log2_lanes: u8) -> Vec<u8> {
    let lanes = 1 << log2_lanes;
    let mut states = vec![LOWER_BOUND; lanes];
    let mut words = Vec::new();
    let mut end = intervals.len();
    for &start in segments.iter().rev().chain(&[0]) {
        for (k, &interval) in intervals[start..end].iter().enumerate().rev() {
            let state = &mut states[k & (lanes - 1)];
            if let Some(word) = push(state, interval) {
                words.push(word);
            }
        }
        end = start;
    }
    let size = lanes * STATE_BYTES + words.len() * WORD_BYTES + bypass.len();
    let mut stream = Vec::with_capacity(size);
    stream.extend(states.iter().flat_map(|state| state.to_le_bytes()));
    stream.extend(words.iter().rev().flat_map(|word| word.to_le_bytes()));
    stream.extend_from_slice(bypass);
    stream
}

/// One rANS step; the inverse of the decoder's.
#[inline]
fn push(state: &mut u32, interval: Interval) -> Option<u16> {
    let (start, frequency) = (u32::from(interval.start), u32::from(interval.frequency));
    let word = (*state >> (32 - TABLE_BITS) >= frequency).then_some(*state as u16);
    if word.is_some() {
        *state >>= 16;
    }
    *state = ((*state / frequency) << TABLE_BITS) + *state % frequency + start;
    word
}
