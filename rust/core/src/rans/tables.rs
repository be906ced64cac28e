//! Frequency tables, laid out for encoder and decoder.

use super::{TABLE_BITS, TABLE_SIZE};
use crate::{Error, Result};

/// Most entries of one table, so that a symbol fits the 8 bits of a lookup entry.
const MAX_LENGTH: usize = 256;
const MAX_TABLES: usize = 256;

/// What a lookup entry holds in place of a symbol when it is the escape.
const ESCAPE: i32 = -128;

/// Integer frequency tables of 12 bits each.
///
/// A table has 2m + 2 entries: the symbols -m … m and then the escape, which stands for every
/// value beyond ±m.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Intervals of all tables, one table after the other.
    intervals: Vec<Interval>,
    shapes: Vec<Shape>,
    /// For each table, what each of the 4096 slots decodes to.
    lookups: Vec<[Lookup; TABLE_SIZE]>,
    skip: u8,
}

/// The slots of one symbol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub(super) start: u16,
    pub(super) frequency: u16,
}

/// Where a table's intervals are.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// Position of symbol 0 in `intervals`.
    center: i32,
    /// The largest symbol, m.
    max: i32,
}

/// Frequency (12 bits), distance from the start of the interval (12), symbol (8, signed).
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup(u32);

impl Lookup {
    fn new(interval: Interval, slot: u16, symbol: i32) -> Self {
        let distance = u32::from(slot - interval.start);
        Self(u32::from(interval.frequency) | distance << TABLE_BITS | (symbol as u32) << 24)
    }

    pub(super) fn frequency(self) -> u32 {
        self.0 & (TABLE_SIZE as u32 - 1)
    }

    pub(super) fn distance(self) -> u32 {
        self.0 >> TABLE_BITS & (TABLE_SIZE as u32 - 1)
    }

    /// The symbol, None for the escape.
    pub(super) fn symbol(self) -> Option<i32> {
        let symbol = self.0 as i32 >> 24;
        (symbol != ESCAPE).then_some(symbol)
    }
}

/// How the encoder codes one element.
pub(super) enum Code {
    Skipped,
    Symbol(Interval),
    /// The escape's interval, the Exp-Golomb value and the sign that follow in the bypass run.
    Escaped(Interval, u32, bool),
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
            intervals: Vec::with_capacity(total),
            shapes: Vec::with_capacity(lengths.len()),
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
        self.shapes.len()
    }

    /// Elements of tables below this index are not coded and are 0.
    pub fn skip(&self) -> u8 {
        self.skip
    }

    fn add(&mut self, frequencies: &[u16]) -> Result<()> {
        let t = self.shapes.len();
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
        let max = (frequencies.len() as i32 - 2) / 2;
        self.shapes.push(Shape { center: self.intervals.len() as i32 + max, max });
        let mut lookup = [Lookup(0); TABLE_SIZE];
        let mut start = 0;
        for (symbol, &frequency) in (-max..).zip(frequencies) {
            let interval = Interval { start, frequency };
            let stored = if symbol > max { ESCAPE } else { symbol };
            for slot in start..start + frequency {
                lookup[usize::from(slot)] = Lookup::new(interval, slot, stored);
            }
            self.intervals.push(interval);
            start += frequency;
        }
        self.lookups.push(lookup);
        Ok(())
    }

    /// How `symbol` is coded with table `index`.
    pub(super) fn code(&self, index: u8, symbol: i32) -> Result<Code> {
        let shape = *self.shapes.get(usize::from(index)).ok_or_else(|| self.no_table(index))?;
        if index < self.skip {
            return if symbol == 0 {
                Ok(Code::Skipped)
            } else {
                Err(Error::invalid(format!(
                    "symbols: {symbol} at table index {index}, which is skipped, so only 0 can be"
                )))
            };
        }
        if i16::try_from(symbol).is_err() {
            return Err(Error::invalid(format!("symbols: {symbol} does not fit 16 bits")));
        }
        let interval = |symbol| self.intervals[(shape.center + symbol) as usize];
        let beyond = symbol.abs() - shape.max;
        if beyond <= 0 {
            Ok(Code::Symbol(interval(symbol)))
        } else {
            Ok(Code::Escaped(interval(shape.max + 1), beyond as u32 - 1, symbol < 0))
        }
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

    /// The largest symbol of table `index` that is coded without an escape.
    pub(super) fn max(&self, index: u8) -> i32 {
        self.shapes[usize::from(index)].max
    }

    #[cold]
    fn no_table(&self, index: u8) -> Error {
        Error::invalid(format!("indexes: {index}, but there are {} tables", self.len()))
    }
}
