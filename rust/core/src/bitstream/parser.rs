//! Takes a stream apart as its bytes come in.

use super::frame::Frame;
use super::header::check_major;
use super::sequence::Sequence;
use super::unit::{Content, Unit};
use super::{Limits, MAGIC, SYNC, VERSION};
use crate::{Error, Result};

/// Highest offset that `seek` takes, far from where sums would overflow.
const MAX_OFFSET: u64 = 1 << 62;

/// Units that turn out wrong may together be this many times as large as the stream. Only an
/// attacker makes units that overlap, to have them cost time quadratic in the stream's size.
const MAX_WASTE: u64 = 4;

/// Push parser: feed bytes as they come, take units as they complete.
///
/// An error leaves the parser where it is: the next call of `next_unit` returns it again until
/// `resync` finds a place to go on. It holds what was fed and not yet taken, so whoever takes all
/// units before feeding more never has it hold more than one that is incomplete.
pub struct Parser {
    limits: Limits,
    /// Of `limits.max_memory`, what others hold.
    held: u64,
    /// Bytes fed, those before `start` already taken.
    buffer: Vec<u8>,
    start: usize,
    /// Of `buffer[start]` in the stream.
    offset: u64,
    closed: bool,
    /// Looking for a random-access point.
    seeking: bool,
    /// Damage followed the end unit: nothing after it counts.
    ended: bool,
    /// None until the first bytes have been read.
    sequence: Option<Sequence>,
    /// Bytes of the units that turned out wrong, and where the last of them began.
    wasted: u64,
    wasted_at: Option<u64>,
}

impl Parser {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            held: 0,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            closed: false,
            seeking: false,
            ended: false,
            sequence: None,
            wasted: 0,
            wasted_at: None,
        }
    }

    /// Says how many bytes of the memory that is permitted are held elsewhere.
    pub fn hold(&mut self, bytes: u64) {
        self.held = bytes;
    }

    /// Adds the bytes that follow those fed before.
    ///
    /// # Errors
    /// `InvalidArgument` after `close`.
    pub fn feed(&mut self, data: &[u8]) -> Result<()> {
        if self.closed {
            return Err(Error::invalid("data: none may be fed after close"));
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.ended {
            self.offset += data.len() as u64;
        } else {
            self.buffer.extend_from_slice(data);
        }
        Ok(())
    }

    /// Says that no more bytes follow: what is incomplete becomes an error in `next_unit`.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Jumps: the bytes fed next come from `offset`, where a random-access point is, as the index
    /// or an earlier unit told. The header is kept; what was fed and not taken is dropped.
    ///
    /// # Errors
    /// `InvalidArgument` for an offset of 2^62 or more.
    pub fn seek(&mut self, offset: u64) -> Result<()> {
        if offset >= MAX_OFFSET {
            return Err(Error::invalid(format!("offset: {offset} is too large")));
        }
        let header = self.sequence.take().and_then(|sequence| sequence.header().cloned());
        self.sequence = Some(Sequence::midway(header));
        self.buffer.clear();
        self.start = 0;
        self.offset = offset;
        self.closed = false;
        self.seeking = false;
        self.ended = false;
        self.wasted = 0;
        self.wasted_at = None;
        Ok(())
    }

    /// The next unit; None when more bytes are needed, or after `close` when all is read.
    ///
    /// # Errors
    /// `Corrupt`, `Truncated`, `Unsupported` or `Limit`. The same again until `resync`.
    pub fn next_unit(&mut self) -> Result<Option<Unit>> {
        if self.seeking && !self.resync() {
            return self.starved("no random-access unit follows the damage");
        }
        let Some(sequence) = self.open()? else {
            return self.starved("the file header is incomplete");
        };
        let over = sequence.is_over();
        match self.examine(sequence)? {
            Some((unit, sequence)) => {
                self.sequence = Some(sequence);
                self.skip(unit.size as usize);
                Ok(Some(unit))
            }
            None if over && self.pending().is_empty() => Ok(None),
            None if self.pending().is_empty() => self.starved("the end unit is missing"),
            None => self.starved("the last unit is incomplete"),
        }
    }

    /// After an error: skips to the next random-access point whose first unit is intact, or goes on
    /// with an end unit that only contradicts what was read. False if there is neither in what was
    /// fed; when more has been fed, this or `next_unit` goes on looking.
    pub fn resync(&mut self) -> bool {
        self.resync_behind(1)
    }

    /// The same where the last unit was intact but wrong to who decodes it: what comes next may be
    /// a random-access point.
    pub fn resync_here(&mut self) -> bool {
        self.resync_behind(0)
    }

    /// Searches from that many bytes on, unless it already does.
    fn resync_behind(&mut self, bytes: usize) -> bool {
        if self.sequence.as_ref().is_some_and(Sequence::is_over) {
            self.skip(self.pending().len());
            self.ended = true;
            return false;
        }
        if !self.seeking {
            if self.go_on_to_end() {
                return true;
            }
            self.seeking = true;
            self.skip(self.pending().len().min(bytes));
        }
        loop {
            let pending = self.pending();
            let Some(found) = pending.windows(SYNC.len()).position(|window| window == SYNC) else {
                // The last bytes may be the first ones of a sync word.
                self.skip(pending.len().saturating_sub(SYNC.len() - 1));
                return false;
            };
            self.skip(found);
            let midway = self.sequence.as_ref().map_or(Sequence::midway(None), Sequence::resumed);
            match self.examine(midway.clone()) {
                Ok(Some(_)) => {
                    self.sequence = Some(midway);
                    self.seeking = false;
                    return true;
                }
                Ok(None) if !self.closed => return false,
                Ok(None) | Err(_) => self.skip(1),
            }
        }
    }

    /// Whether the unit at fault is an end unit whose totals tell of units that never came, and can
    /// be taken as it is.
    fn go_on_to_end(&mut self) -> bool {
        let Some(resumed) = self.sequence.as_ref().map(Sequence::resumed) else {
            return false;
        };
        let is_end = match self.examine(resumed.clone()) {
            Ok(Some((unit, _))) => matches!(unit.content, Content::End(_)),
            _ => false,
        };
        if is_end {
            self.sequence = Some(resumed);
        }
        is_end
    }

    /// The state to read on in, once the bytes that precede all units have been taken.
    fn open(&mut self) -> Result<Option<Sequence>> {
        if self.sequence.is_none() {
            let pending = self.pending();
            let seen = pending.len().min(MAGIC.len());
            if pending[..seen] != MAGIC[..seen] {
                return Err(Error::corrupt(0, "not a ui2c stream"));
            }
            let Some(&[major, minor]) = pending[seen..].first_chunk() else {
                return Ok(None);
            };
            check_major([major, minor])?;
            self.skip(MAGIC.len() + VERSION.len());
            self.sequence = Some(Sequence::new(minor));
        }
        Ok(self.sequence.clone())
    }

    /// The unit at the start of what is pending and the state after it; takes nothing.
    fn examine(&mut self, mut sequence: Sequence) -> Result<Option<(Unit, Sequence)>> {
        let pending = &self.buffer[self.start..];
        let Some(&first) = pending.first() else {
            return Ok(None);
        };
        sequence.check_more(first, self.offset)?;
        if pending.len() < SYNC.len() && SYNC.starts_with(pending) {
            return Ok(None);
        }
        let synced = pending.starts_with(&SYNC);
        let sync_size = if synced { SYNC.len() } else { 0 };
        let offset = self.offset + sync_size as u64;
        let left = self.limits.max_memory.saturating_sub(self.held);
        let limits = Limits { max_memory: left, ..self.limits };
        let Some(frame) = Frame::split(&pending[sync_size..], offset, &limits)? else {
            return Ok(None);
        };
        let size = frame.size() as u64;
        if self.wasted + size > MAX_WASTE * (offset + size) {
            return Err(Error::corrupt(offset, "too much damage to go on"));
        }
        let content = if frame.is_intact() {
            sequence.take(&frame, synced, &limits)
        } else {
            Err(Error::corrupt(offset, "checksum of the unit is wrong"))
        };
        if content.is_err() && self.wasted_at.is_none_or(|at| at < offset) {
            self.wasted += size;
            self.wasted_at = Some(offset);
        }
        let content = content?;
        let unit = Unit { offset: self.offset, size: size + sync_size as u64, content };
        Ok(Some((unit, sequence)))
    }

    /// No unit can be had from what is pending.
    fn starved(&self, what: &str) -> Result<Option<Unit>> {
        if self.closed {
            let end = self.offset + self.pending().len() as u64;
            Err(Error::truncated(end, what))
        } else {
            Ok(None)
        }
    }

    fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn skip(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }
}
