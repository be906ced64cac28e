//! Collects what is to be coded and writes it in one go.

use std::sync::Arc;

use super::bypass::BitWriter;
use super::kernels::{self, SLACK, WORD_SLACK};
use super::tables::{Code, Row};
use super::{LOWER_BOUND, Level, MAX_LANES, MAX_LOG2_LANES, STATE_BYTES, States, Tables, dispatch};
use crate::{Error, Result};

/// The bytes of the lanes' states are at most one part in so many of the rest.
const PAYLOAD_PER_STATES: usize = 270;

/// Elements that `put_slice` takes at once.
const BLOCK: usize = 1024;

/// Collects segments in decoding order; `finish` codes them all, last symbol first.
#[derive(Default)]
pub struct Encoder {
    /// Of everything that is coded: where in the rows of its tables its interval is.
    keys: Vec<u16>,
    pieces: Vec<Piece>,
    /// Where in `keys` the current segment begins.
    segment: usize,
    bits: BitWriter,
    /// None: what is best on this processor.
    level: Option<Level>,
}

/// Keys of one segment and the same tables, up to the next piece.
struct Piece {
    start: usize,
    /// Where its segment begins.
    segment: usize,
    rows: Arc<Vec<Row>>,
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
        self.segment = self.keys.len();
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
            Code::Symbol(key) => self.add(tables, &[key]),
            Code::Escaped(key, value, negative) => {
                self.add(tables, &[key]);
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
        self.begin_segment();
        let level = self.level.unwrap_or_else(Level::highest);
        self.keys.reserve(symbols.len());
        let (largest, skip) = (tables.all_largest(), tables.skip());
        let mut keys = [0; BLOCK + SLACK];
        for (indexes, symbols) in indexes.chunks(BLOCK).zip(symbols.chunks(BLOCK)) {
            tables.check(indexes)?;
            let found = kernels::keys(level, largest, indexes, symbols, skip, &mut keys);
            if found.wrong {
                return self.put_each(tables, indexes, symbols);
            }
            self.add(tables, &keys[..found.count]);
            if found.escapes {
                self.put_escapes(tables, indexes, symbols);
            }
        }
        Ok(())
    }

    fn add(&mut self, tables: &Tables, keys: &[u16]) {
        let (start, segment, rows) = (self.keys.len(), self.segment, tables.rows());
        let goes_on = |piece: &Piece| piece.segment == segment && Arc::ptr_eq(&piece.rows, rows);
        if !keys.is_empty() && !self.pieces.last().is_some_and(goes_on) {
            self.pieces.push(Piece { start, segment, rows: Arc::clone(rows) });
        }
        self.keys.extend_from_slice(keys);
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
    /// within 0.37 % of the stream, at least one. Returns log2 of the lanes and the stream.
    ///
    /// # Errors
    /// `InvalidArgument` if `log2_lanes` is above 6.
    pub fn finish(mut self, log2_lanes: Option<u8>) -> Result<(u8, Vec<u8>)> {
        let bypass = std::mem::take(&mut self.bits).finish();
        let code = |log2_lanes| {
            let level = self.level.unwrap_or_else(|| dispatch::for_encoding(log2_lanes));
            self.code(level, &bypass, log2_lanes)
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

    fn code(&self, level: Level, bypass: &[u8], log2_lanes: u8) -> Vec<u8> {
        let states = [LOWER_BOUND; MAX_LANES];
        let mut coding = Coding { level, log2_lanes, states, words: WordStack::default() };
        let mut end = self.keys.len();
        for piece in self.pieces.iter().rev() {
            coding.put(&piece.rows, &self.keys[piece.start..end], piece.start - piece.segment);
            end = piece.start;
        }
        coding.finish(bypass)
    }
}

/// For a stream that has `payload` bytes besides the states when it is on all lanes.
fn default_log2_lanes(payload: usize) -> u8 {
    let lanes = payload / (PAYLOAD_PER_STATES * STATE_BYTES);
    lanes.checked_ilog2().map_or(0, |log2| (log2 as u8).min(MAX_LOG2_LANES))
}

/// A stream that comes into being, back to front.
struct Coding {
    level: Level,
    log2_lanes: u8,
    states: States,
    words: WordStack,
}

impl Coding {
    /// Puts keys in front of those before; the first is number `first` of its segment.
    fn put(&mut self, rows: &[Row], keys: &[u16], first: usize) {
        let lanes = 1 << self.log2_lanes;
        let head = (first.next_multiple_of(lanes) - first).min(keys.len());
        let (head, keys) = keys.split_at(head);
        let (rounds, tail) = keys.split_at(keys.len() & !(lanes - 1));
        self.put_each(rows, tail, 0);
        let mut left = rounds.len();
        while left > 0 {
            self.words.reserve(lanes + WORD_SLACK);
            left = kernels::encode(
                self.level,
                self.log2_lanes,
                rows,
                &mut self.states,
                &rounds[..left],
                &mut self.words.buffer,
                &mut self.words.count,
            );
        }
        self.put_each(rows, head, first & (lanes - 1));
    }

    /// Less than a round, the first on lane `lane`.
    fn put_each(&mut self, rows: &[Row], keys: &[u16], lane: usize) {
        self.words.reserve(keys.len());
        let rows = rows.as_flattened();
        for (state, &key) in self.states[lane..].iter_mut().zip(keys).rev() {
            let (next, high) = rows[usize::from(key)].push(*state);
            if high {
                self.words.push(*state as u16);
            }
            *state = next;
        }
    }

    fn finish(self, bypass: &[u8]) -> Vec<u8> {
        let states = &self.states[..1 << self.log2_lanes];
        let words = self.words.as_slice();
        let mut stream =
            Vec::with_capacity(size_of_val(states) + size_of_val(words) + bypass.len());
        stream.extend(states.iter().flat_map(|state| state.to_le_bytes()));
        stream.extend(words.iter().rev().flat_map(|word| word.to_le_bytes()));
        stream.extend_from_slice(bypass);
        stream
    }
}

/// Words, the last of the stream first.
#[derive(Default)]
struct WordStack {
    /// More than there are words, so that the loops can write whole vectors.
    buffer: Vec<u16>,
    count: usize,
}

impl WordStack {
    /// Makes room for so many words more.
    fn reserve(&mut self, more: usize) {
        if self.buffer.len() - self.count < more {
            let size = (2 * self.buffer.len()).max(self.count + more).max(1024);
            self.buffer.resize(size, 0);
        }
    }

    /// `reserve` has made room.
    fn push(&mut self, word: u16) {
        self.buffer[self.count] = word;
        self.count += 1;
    }

    fn as_slice(&self) -> &[u16] {
        &self.buffer[..self.count]
    }
}
