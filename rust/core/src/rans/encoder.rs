//! Collects what is to be coded and writes it in one go.

use super::bypass::BitWriter;
use super::kernels::{self, SLACK, WORD_SLACK};
use super::tables::{Code, Interval};
use super::{LOWER_BOUND, MAX_LANES, MAX_LOG2_LANES, STATE_BYTES, Tables, WORD_BYTES};
use super::{Level, dispatch};
use crate::{Error, Result};

/// The bytes of the lanes' states are at most one part in so many of the rest.
const PAYLOAD_PER_STATES: usize = 200;

/// Elements that `put_slice` takes at once.
const BLOCK: usize = 1024;

/// Collects segments in decoding order; `finish` codes them all, last symbol first.
#[derive(Default)]
pub struct Encoder {
    /// Of everything that is coded, as `Interval` holds them.
    intervals: Vec<u32>,
    /// Where in `intervals` each segment but the first begins.
    segments: Vec<usize>,
    bits: BitWriter,
    /// None: what is best on this processor.
    level: Option<Level>,
}

impl Encoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses the instructions of `level` instead of those that are fastest. For tests and
    /// measurements: the bytes are the same.
    pub fn with_level(level: Level) -> Self {
        Self { level: Some(level), ..Self::default() }
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
            Code::Symbol(interval) => self.intervals.push(interval.0),
            Code::Escaped(interval, value, negative) => {
                self.intervals.push(interval.0);
                self.put_escape(value, negative);
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
        tables.check(indexes)?;
        self.begin_segment();
        let level = self.level.unwrap_or_else(Level::highest);
        let mut keys = [0; BLOCK + SLACK];
        let mut intervals = [0; BLOCK + SLACK];
        for (indexes, symbols) in indexes.chunks(BLOCK).zip(symbols.chunks(BLOCK)) {
            let Some(count) = kernels::keys(level, indexes, symbols, tables.skip(), &mut keys)
            else {
                return self.put_each(tables, indexes, symbols);
            };
            let escapes = kernels::intervals(level, tables.rows(), &keys, count, &mut intervals);
            self.intervals.extend_from_slice(&intervals[..count]);
            if escapes {
                self.put_escapes(tables, indexes, symbols);
            }
        }
        Ok(())
    }

    /// The same without a new segment, one by one; this defines `put_slice`.
    fn put_each(&mut self, tables: &Tables, indexes: &[u8], symbols: &[i16]) -> Result<()> {
        let mut both = indexes.iter().zip(symbols);
        both.try_for_each(|(&index, &symbol)| self.put(tables, index, symbol.into()))
    }

    /// The bypass bits of what the tables lack.
    fn put_escapes(&mut self, tables: &Tables, indexes: &[u8], symbols: &[i16]) {
        for (&index, &symbol) in indexes.iter().zip(symbols) {
            if index >= tables.skip() && tables.escapes(index, symbol) {
                let (value, negative) = tables.escape(index, symbol);
                self.put_escape(value, negative);
            }
        }
    }

    fn put_escape(&mut self, value: u32, negative: bool) {
        self.bits.put_golomb(value);
        self.bits.put(negative.into(), 1);
    }

    /// Codes everything on 2^`log2_lanes` lanes; without it, on as many as keep their states
    /// within 0.5 % of the stream, at least one. Returns log2 of the lanes and the stream.
    ///
    /// # Errors
    /// `InvalidArgument` if `log2_lanes` is above 6.
    pub fn finish(self, log2_lanes: Option<u8>) -> Result<(u8, Vec<u8>)> {
        let bypass = self.bits.finish();
        let code = |log2_lanes| {
            let level = self.level.unwrap_or_else(|| dispatch::for_encoding(log2_lanes));
            code(level, &self.intervals, &self.segments, &bypass, log2_lanes)
        };
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

fn code(
    level: Level,
    intervals: &[u32],
    segments: &[usize],
    bypass: &[u8],
    log2_lanes: u8,
) -> Vec<u8> {
    let lanes = 1 << log2_lanes;
    let mut states = [LOWER_BOUND; MAX_LANES];
    let mut words = WordStack::default();
    let mut end = intervals.len();
    for &start in segments.iter().rev().chain(&[0]) {
        let (rounds, rest) = intervals[start..end].split_at((end - start) & !(lanes - 1));
        words.reserve(rest.len());
        for (state, &interval) in states.iter_mut().zip(rest).rev() {
            let (next, word) = Interval(interval).push(*state);
            *state = next;
            words.extend_front(word);
        }
        let mut left = rounds.len();
        while left > 0 {
            words.reserve(lanes + WORD_SLACK);
            let rounds = &rounds[..left];
            let WordStack { words, position } = &mut words;
            left = kernels::encode(level, log2_lanes, &mut states, rounds, words, position);
        }
        end = start;
    }
    let words = words.as_slice();
    let mut stream =
        Vec::with_capacity(lanes * STATE_BYTES + words.len() * WORD_BYTES + bypass.len());
    stream.extend(states[..lanes].iter().flat_map(|state| state.to_le_bytes()));
    stream.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    stream.extend_from_slice(bypass);
    stream
}

/// Words, filled from the back.
#[derive(Default)]
struct WordStack {
    words: Vec<u16>,
    /// Of the word that was put last.
    position: usize,
}

impl WordStack {
    /// Makes room for so many words more.
    fn reserve(&mut self, count: usize) {
        if self.position < count {
            let held = self.words.len() - self.position;
            let mut larger = vec![0; (2 * self.words.len()).max(held + count).max(1024)];
            let position = larger.len() - held;
            larger[position..].copy_from_slice(self.as_slice());
            *self = Self { words: larger, position };
        }
    }

    /// `reserve` has made room.
    fn extend_front(&mut self, word: Option<u16>) {
        if let Some(word) = word {
            self.position -= 1;
            self.words[self.position] = word;
        }
    }

    fn as_slice(&self) -> &[u16] {
        &self.words[self.position..]
    }
}
