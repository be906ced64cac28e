//! Frequency tables, laid out for encoder and decoder.

use std::sync::Arc;

use super::{TABLE_BITS, TABLE_SIZE};
use crate::{Error, Result};

/// Most entries of one table, so that a symbol fits the 8 bits of a lookup entry.
pub const MAX_LENGTH: usize = 256;
pub(super) const MAX_TABLES: usize = 256;

/// The largest symbol that a table may have.
pub(super) const MAX_SYMBOL: i16 = (MAX_LENGTH as i16 - 2) / 2;

/// What the decoder finds in place of a symbol when it is the escape.
pub(super) const ESCAPE: i16 = -128;

/// Columns of a row of intervals: the escape, then the symbols -127 … 127.
pub(super) const COLUMNS: usize = 256;

/// What the encoder needs of a table; symbols that the table lacks have the escape's interval.
pub(super) type Row = [Interval; COLUMNS];

/// Integer frequency tables of 12 bits each.
///
/// A table has 2m + 2 entries: the symbols -m … m and then the escape, which stands for every
/// value beyond ±m.
#[derive(Clone, Debug)]
pub struct Tables {
    /// For each table, m; 0 where there is none.
    largest: [u8; MAX_TABLES],
    /// Shared with the encoders that are to use them.
    rows: Arc<Vec<Row>>,
    /// For each table, what each of the 4096 slots decodes to.
    lookups: Vec<[Lookup; TABLE_SIZE]>,
    skip: u8,
}

/// The slots of one symbol: their start (12 bits) and, from bit 16 on, their number (12 bits).
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct Interval(u32);

impl Interval {
    fn new(start: u16, frequency: u16) -> Self {
        Self(u32::from(start) | u32::from(frequency) << 16)
    }

    /// One rANS step, the inverse of the decoder's: the new state, and whether the low word of the
    /// old one is shed.
    #[inline(always)]
    pub(super) fn push(self, state: u32) -> (u32, bool) {
        let (start, frequency) = (self.0 & 0xffff, self.0 >> 16);
        let high = state >> (32 - TABLE_BITS) >= frequency;
        let rest = state >> (16 * u32::from(high));
        let quotient = rest / frequency;
        let next = (quotient << TABLE_BITS) + (rest - quotient * frequency) + start;
        (next, high)
    }
}

/// Where the rows hold the interval of a symbol of table `index`.
#[inline(always)]
pub(super) fn key(index: u8, symbol: i16) -> u16 {
    let held = symbol.unsigned_abs() <= MAX_SYMBOL as u16;
    let column = if held { (symbol + COLUMNS as i16 / 2) as u16 } else { 0 };
    u16::from(index) << 8 | column
}

/// Frequency (12 bits), distance from the start of the interval (12), symbol (8, signed).
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct Lookup(u32);

impl Lookup {
    fn new(start: u16, frequency: u16, slot: u16, symbol: i16) -> Self {
        let distance = u32::from(slot - start);
        Self(u32::from(frequency) | distance << TABLE_BITS | (symbol as u32) << 24)
    }

    #[inline(always)]
    pub(super) fn frequency(self) -> u32 {
        self.0 & (TABLE_SIZE as u32 - 1)
    }

    #[inline(always)]
    pub(super) fn distance(self) -> u32 {
        self.0 >> TABLE_BITS & (TABLE_SIZE as u32 - 1)
    }

    /// The symbol, or `ESCAPE`.
    #[inline(always)]
    pub(super) fn stored(self) -> i16 {
        (self.0 as i32 >> 24) as i16
    }
}

/// How the encoder codes one element.
pub(super) enum Code {
    Skipped,
    /// The key of its interval.
    Symbol(u16),
    /// The key, and the Exp-Golomb value and the sign that follow in the bypass run.
    Escaped(u16, u32, bool),
}

impl Tables {
    /// `lengths[t]` entries of `frequencies` belong to table t. Elements whose table index is
    /// below `skip` are not coded.
    ///
    /// # Errors
    /// `InvalidArgument` unless there are 1 to 256 tables of an even number of 2 to 256 entries,
    /// each at least 1, that sum to 4096 per table, and `skip` is at most the number of tables.
    pub fn new(frequencies: &[u16], lengths: &[u16], skip: u8) -> Result<Self> {
        if lengths.is_empty() || lengths.len() > MAX_TABLES {
            return Err(Error::invalid(format!(
                "lengths: {} tables, want 1 to {MAX_TABLES}",
                lengths.len()
            )));
        }
        if usize::from(skip) > lengths.len() {
            return Err(Error::invalid(format!("skip: {skip}, but {} tables", lengths.len())));
        }
        let total: usize = lengths.iter().map(|&length| usize::from(length)).sum();
        if total != frequencies.len() {
            return Err(Error::invalid(format!(
                "frequencies: {} entries, but the lengths sum to {total}",
                frequencies.len()
            )));
        }
        let mut tables = Self {
            largest: [0; MAX_TABLES],
            rows: Arc::new(Vec::with_capacity(lengths.len())),
            lookups: Vec::with_capacity(lengths.len()),
            skip,
        };
        let mut rest = frequencies;
        for &length in lengths {
            let (table, others) = rest.split_at(length.into());
            tables.add(table)?;
            rest = others;
        }
        Ok(tables)
    }

    /// The number of tables, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one table")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Elements of tables below this index are not coded and are 0.
    pub fn skip(&self) -> u8 {
        self.skip
    }

    fn add(&mut self, frequencies: &[u16]) -> Result<()> {
        let t = self.rows.len();
        if !(2..=MAX_LENGTH).contains(&frequencies.len()) || !frequencies.len().is_multiple_of(2) {
            return Err(Error::invalid(format!(
                "lengths: table {t} has {} entries, want an even number of 2 to {MAX_LENGTH}",
                frequencies.len()
            )));
        }
        if frequencies.contains(&0) {
            return Err(Error::invalid(format!("frequencies: table {t} has a zero")));
        }
        let sum: usize = frequencies.iter().map(|&f| usize::from(f)).sum();
        if sum != TABLE_SIZE {
            return Err(Error::invalid(format!(
                "frequencies: table {t} sums to {sum}, not {TABLE_SIZE}"
            )));
        }
        let largest = (frequencies.len() as i16 - 2) / 2;
        let escaped = frequencies[frequencies.len() - 1];
        let escape = Interval::new(TABLE_SIZE as u16 - escaped, escaped);
        let mut row = [escape; COLUMNS];
        let mut lookup = [Lookup(0); TABLE_SIZE];
        let mut start = 0;
        for (symbol, &frequency) in (-largest..).zip(frequencies) {
            let stored = if symbol > largest { ESCAPE } else { symbol };
            for slot in start..start + frequency {
                lookup[usize::from(slot)] = Lookup::new(start, frequency, slot, stored);
            }
            if symbol <= largest {
                row[usize::from(key(0, symbol))] = Interval::new(start, frequency);
            }
            start += frequency;
        }
        self.largest[t] = largest as u8;
        Arc::make_mut(&mut self.rows).push(row);
        self.lookups.push(lookup);
        Ok(())
    }

    /// How `symbol` is coded with table `index`.
    pub(super) fn code(&self, index: u8, symbol: i32) -> Result<Code> {
        if usize::from(index) >= self.len() {
            return Err(self.no_table(index));
        }
        if index < self.skip {
            return if symbol == 0 {
                Ok(Code::Skipped)
            } else {
                Err(Error::invalid(format!(
                    "symbols: {symbol} at table index {index}, which is skipped, so only 0 can be"
                )))
            };
        }
        let Ok(symbol) = i16::try_from(symbol) else {
            return Err(Error::invalid(format!("symbols: {symbol} does not fit 16 bits")));
        };
        let key = key(index, symbol);
        if self.escapes(index, symbol) {
            let (value, negative) = self.escape(index, symbol);
            Ok(Code::Escaped(key, value, negative))
        } else {
            Ok(Code::Symbol(key))
        }
    }

    /// What the bypass bits hold of a symbol that table `index` lacks: Exp-Golomb value and sign.
    pub(super) fn escape(&self, index: u8, symbol: i16) -> (u32, bool) {
        (u32::from(symbol.unsigned_abs()) - self.largest(index) as u32 - 1, symbol < 0)
    }

    /// Whether `symbol` is an escape in table `index`, which exists.
    pub(super) fn escapes(&self, index: u8, symbol: i16) -> bool {
        i32::from(symbol.unsigned_abs()) > self.largest(index)
    }

    /// The lookup of table `index` for the decoder; None when its elements are not coded.
    #[inline]
    pub(super) fn lookup(&self, index: u8) -> Result<Option<&[Lookup; TABLE_SIZE]>> {
        match self.lookups.get(usize::from(index)) {
            None => Err(self.no_table(index)),
            Some(_) if index < self.skip => Ok(None),
            Some(lookup) => Ok(Some(lookup)),
        }
    }

    pub(super) fn lookups(&self) -> &[[Lookup; TABLE_SIZE]] {
        &self.lookups
    }

    pub(super) fn rows(&self) -> &Arc<Vec<Row>> {
        &self.rows
    }

    /// The largest symbol of each table.
    pub(super) fn all_largest(&self) -> &[u8; MAX_TABLES] {
        &self.largest
    }

    /// The largest symbol of table `index` that is coded without an escape.
    pub(super) fn largest(&self, index: u8) -> i32 {
        self.largest[usize::from(index)].into()
    }

    /// # Errors
    /// `InvalidArgument` if there is no table for one of the indexes.
    pub(super) fn check(&self, indexes: &[u8]) -> Result<()> {
        // Without a search for the place, so that the compiler finds vectors for it.
        match indexes.iter().fold(0, |most, &index| most.max(index)) {
            index if usize::from(index) < self.len() || indexes.is_empty() => Ok(()),
            index => Err(self.no_table(index)),
        }
    }

    #[cold]
    fn no_table(&self, index: u8) -> Error {
        Error::invalid(format!("indexes: {index}, but there are {} tables", self.len()))
    }
}
