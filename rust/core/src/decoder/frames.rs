//! The state of one stream between its first and its last byte.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::engine::{Engine, Engines, UnitDecoder};
use crate::bitstream::{CodedUnit, Content, End, Limits, Parser, SequenceHeader, Unit};
use crate::unit::{Geometry, Samples};
use crate::{Error, Result, Severity};

/// How to decode.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What a stream may ask for.
    pub limits: Limits,
    /// Whether to compare the decoder's feature with the hashes in the stream.
    pub verify: bool,
    /// Whether to go on at the next random-access unit after damage.
    pub skip: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), verify: true, skip: false }
    }
}

/// A decoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its number, counting the shown frames of the sequence from 0.
    pub number: u64,
    /// When it is shown, in ticks.
    pub pts: i128,
    pub picture: Samples,
}

/// Frames skipped because of damage: the first and the last, None for "to the end".
pub type Lost = (u64, Option<u64>);

/// A result whose error is kept, too.
pub type Shared<T> = std::result::Result<T, Arc<Error>>;

/// Push decoder: feed bytes as they come, take frames as they complete.
///
/// It holds what was fed and not yet decoded, and the frames of one unit that were not yet taken; so
/// whoever takes all frames before feeding more never has it hold more than one incomplete unit.
pub struct Decoder<E> {
    options: Options,
    engines: E,
    parser: Parser,
    /// Where in the stream what was fed ends.
    fed: u64,
    closed: bool,
    sequence: Option<Sequence>,
    /// Decoded and not yet taken.
    ready: VecDeque<Frame>,
    ended: bool,
    searching: bool,
    failure: Option<Arc<Error>>,
    damage: Option<Arc<Error>>,
    lost: Vec<Lost>,
    /// By key, the values in the order of the keys' first coming.
    metadata: HashMap<String, (usize, String)>,
    metadata_bytes: u64,
    next_frame: u64,
    units: u64,
    last_pts: i128,
}

struct Sequence {
    header: SequenceHeader,
    decoder: Box<dyn UnitDecoder>,
}

impl<E: Engines> Decoder<E> {
    pub fn new(engines: E, options: Options) -> Self {
        Self {
            options,
            engines,
            parser: Parser::new(options.limits),
            fed: 0,
            closed: false,
            sequence: None,
            ready: VecDeque::new(),
            ended: false,
            searching: false,
            failure: None,
            damage: None,
            lost: Vec::new(),
            metadata: HashMap::new(),
            metadata_bytes: 0,
            next_frame: 0,
            units: 0,
            last_pts: 0,
        }
    }

    /// Adds the bytes that follow those fed before. After an error that is final they are dropped.
    ///
    /// # Errors
    /// `InvalidArgument` after `close`.
    pub fn feed(&mut self, data: &[u8]) -> Result<()> {
        if self.failure.is_none() {
            self.parser.feed(data)?;
            self.fed += data.len() as u64;
        }
        Ok(())
    }

    /// Says that no more bytes follow.
    pub fn close(&mut self) {
        self.closed = true;
        self.parser.close();
    }

    /// Whether `close` was called.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// What is fed next comes from `offset`, a random-access point whose first frame has that
    /// number; `last_pts` is the time of the frame before it. The header must be known.
    ///
    /// # Errors
    /// `InvalidArgument` for an offset of 2^62 or more.
    pub fn seek(&mut self, offset: u64, frame: u64, last_pts: i128) -> Result<()> {
        self.parser.seek(offset)?;
        self.ready.clear();
        self.fed = offset;
        (self.closed, self.searching, self.ended) = (false, false, false);
        (self.next_frame, self.last_pts) = (frame, last_pts);
        Ok(())
    }

    /// The next frame; None when more bytes are needed, or after `close` when all is decoded.
    ///
    /// # Errors
    /// Those of the parser and of the units, and `Mismatch` where decoding gives another result here
    /// than where the stream was made. What the stream is to blame for comes again with every call;
    /// in skipping that is only what leaves nothing to go on with.
    pub fn next_frame(&mut self) -> Shared<Option<Frame>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            if let Some(failure) = &self.failure {
                return Err(Arc::clone(failure));
            }
            if self.searching {
                self.searching = !self.parser.resync();
            }
            if self.searching {
                break;
            }
            let unit = match self.parser.next_unit() {
                Ok(None) => break,
                Ok(Some(unit)) => self.take(unit),
                Err(error) => Err(error),
            };
            if let Err(error) = unit {
                self.note(error)?;
            }
        }
        if self.closed && !self.ended {
            self.end_missing()?;
        }
        Ok(None)
    }

    /// The sequence header, once it has come.
    pub fn header(&self) -> Option<&SequenceHeader> {
        self.sequence.as_ref().map(|sequence| &sequence.header)
    }

    /// Keys and values so far, in the order of the keys.
    pub fn metadata(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<_> = self.metadata.iter().collect();
        all.sort_by_key(|(_, (place, _))| *place);
        all.into_iter().map(|(key, (_, value))| (key.as_str(), value.as_str())).collect()
    }

    /// Frames skipped so far.
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// The first fault, even if it cost no frame.
    pub fn damage(&self) -> Option<&Arc<Error>> {
        self.damage.as_ref()
    }

    fn take(&mut self, unit: Unit) -> Result<()> {
        let Unit { offset, size, content } = unit;
        match content {
            Content::Sequence(header) if self.sequence.is_none() => self.begin(offset, header),
            Content::Metadata { key, value } => self.take_metadata(key, value),
            Content::Coded { frame, unit } => self.decode(offset, size, frame, &unit),
            Content::End(end) => self.end(offset, &end),
            Content::Sequence(_) | Content::Index(_) | Content::Unknown => Ok(()),
        }
    }

    fn begin(&mut self, offset: u64, header: SequenceHeader) -> Result<()> {
        let engine = self.engines.find(&header)?;
        let (said, frames) = (header.frames_per_unit, engine.frames_per_unit()?);
        if said != frames {
            return Err(Error::corrupt(
                offset,
                format!("the header says {said} frames per unit, its model has {frames}"),
            ));
        }
        let geometry = Geometry::of(&header);
        let (needed, most) = (engine.work_space(&geometry)?, self.options.limits.max_memory);
        if needed > most {
            let Geometry { width, height, .. } = geometry;
            return Err(Error::Limit {
                what: format!(
                    "{width}x{height} takes about {needed} bytes to decode, at most {most} are \
                     wanted"
                ),
            });
        }
        self.last_pts = -i128::from(header.frame_ticks);
        self.sequence = Some(Sequence { header, decoder: engine.open(geometry)? });
        Ok(())
    }

    fn take_metadata(&mut self, key: String, value: String) -> Result<()> {
        self.metadata_bytes += (key.len() + value.len()) as u64;
        let most = self.options.limits.max_memory;
        if self.metadata_bytes > most {
            return Err(Error::Limit {
                what: format!("more than the {most} bytes of metadata that are wanted"),
            });
        }
        let place = self.metadata.len();
        self.metadata.entry(key).or_insert((place, String::new())).1 = value;
        Ok(())
    }

    fn decode(&mut self, offset: u64, size: u64, frame: u64, unit: &CodedUnit) -> Result<()> {
        if self.sequence.is_none() || !(unit.intra || self.units > 0) {
            let kind = if unit.intra { "an intra" } else { "an inter" };
            return Err(Error::corrupt(offset, format!("{kind} unit comes too early")));
        }
        self.skip_to(offset, frame)?;
        let Some(Sequence { header, decoder }) = &mut self.sequence else { return Ok(()) };
        // The entropy-coded data is the last of a unit, before its checksum.
        let start = offset + size.saturating_sub(unit.stream.len() as u64 + 4);
        let pictures = decoder.decode(unit).map_err(|error| error.within(start))?;
        self.units += 1;
        let last = self.next_frame + u64::from(unit.shown) - 1;
        let verified = match unit.feature_hash {
            Some(hash) if self.options.verify => hash == decoder.digest(),
            _ => true,
        };
        if !verified {
            return Err(mismatch(
                self.units - 1,
                &format!("frames {} to {last}", self.next_frame),
                offset,
            ));
        }
        if unit.ticks.is_some() && self.next_frame == 0 {
            self.last_pts = 0;
        }
        let usual = header.frame_ticks;
        for (k, picture) in pictures.into_iter().enumerate() {
            let ticks = unit.ticks.as_ref().and_then(|ticks| ticks.get(k)).copied();
            self.last_pts += i128::from(ticks.unwrap_or(usual));
            self.ready.push_back(Frame { number: self.next_frame, pts: self.last_pts, picture });
            self.next_frame += 1;
        }
        Ok(())
    }

    fn end(&mut self, offset: u64, end: &End) -> Result<()> {
        self.ended = true;
        if self.sequence.is_none() {
            // Without a header nothing can be said of frames, not even that so many are lost.
            let missing = || Arc::new(Error::corrupt(offset, "the stream ends before any header"));
            self.failure = Some(Arc::clone(self.damage.get_or_insert_with(missing)));
            return Ok(());
        }
        self.skip_to(offset, end.frames)?;
        let Some(Sequence { decoder, .. }) = &self.sequence else { return Ok(()) };
        match end.feature_hash {
            Some(hash) if self.options.verify && self.lost.is_empty() && self.units > 0 => {
                match hash == decoder.digest() {
                    true => Ok(()),
                    false => Err(mismatch(self.units - 1, "the last one", offset)),
                }
            }
            _ => Ok(()),
        }
    }

    /// Notes what is missing before the frame of that number.
    fn skip_to(&mut self, offset: u64, frame: u64) -> Result<()> {
        let next = self.next_frame;
        if frame == next {
            return Ok(());
        }
        if frame < next || !self.options.skip {
            return Err(Error::corrupt(
                offset,
                format!("frame {frame} where frame {next} must follow"),
            ));
        }
        let missing =
            || Arc::new(Error::corrupt(offset, format!("frames before frame {frame} are missing")));
        self.damage.get_or_insert_with(missing);
        self.lost.push((next, Some(frame - 1)));
        let ticks = self.header().map_or(0, |header| header.frame_ticks);
        self.last_pts += i128::from(frame - next) * i128::from(ticks);
        self.next_frame = frame;
        Ok(())
    }

    /// Begins the search for the next random-access unit, unless there is no going on.
    fn note(&mut self, error: Error) -> Shared<()> {
        let severity = error.severity();
        let error = Arc::new(error);
        if severity == Severity::Outside {
            return Err(error);
        }
        self.damage.get_or_insert_with(|| Arc::clone(&error));
        if severity == Severity::Final || !self.options.skip {
            self.failure = Some(Arc::clone(&error));
            return Err(error);
        }
        self.searching = true;
        Ok(())
    }

    fn end_missing(&mut self) -> Shared<()> {
        let end = self.fed;
        let missing = || Arc::new(Error::truncated(end, "the stream ends without an end unit"));
        let damage = self.damage.get_or_insert_with(missing);
        if !self.options.skip || self.sequence.is_none() {
            let damage = Arc::clone(damage);
            self.failure = Some(Arc::clone(&damage));
            return Err(damage);
        }
        self.ended = true;
        self.lost.push((self.next_frame, None));
        Ok(())
    }
}

fn mismatch(unit: u64, what: &str, offset: u64) -> Error {
    Error::Mismatch {
        what: format!(
            "unit {unit} ({what}, byte {offset}): decoding here gives another state than encoding \
             did, so the pictures would be wrong; the stream was probably made on another kind of \
             machine; --no-verify (verify=False) decodes all the same"
        ),
    }
}
