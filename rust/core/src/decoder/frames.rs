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

/// Intact units that cannot be decoded are skipped up to so many, and one more for each that can.
/// Damage hardly ever leaves a checksum right: such units are made, and each costs what a good one
/// does without showing anything.
const MOST_UNDECODABLE: u64 = 8;

/// What a key with its value takes beside their text.
const METADATA_ENTRY: u64 = 256;

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
    /// Units that were decoded, and intact ones that could not be.
    units: u64,
    undecodable: u64,
    /// Whether all units from the first on have come by here, so that counting them numbers them.
    numbered: bool,
    /// What the last hash said: whether this decoder is in the state that the encoder was in.
    agrees: Option<bool>,
    /// Luma samples decoded.
    work: u64,
    /// Bytes that decoding takes beside metadata.
    work_space: u64,
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
            undecodable: 0,
            numbered: true,
            agrees: None,
            work: 0,
            work_space: 0,
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
        self.numbered = false;
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
            match self.parser.next_unit() {
                Ok(None) => break,
                Ok(Some(unit)) => {
                    if let Err(error) = self.take(unit) {
                        self.note(error)?;
                        self.searching = !self.parser.resync_here();
                    }
                }
                Err(error) => {
                    self.note(error)?;
                    self.searching = true;
                }
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
                     wanted (max_memory)"
                ),
            });
        }
        self.work_space = needed;
        self.hold()?;
        self.last_pts = -i128::from(header.frame_ticks);
        self.sequence = Some(Sequence { header, decoder: engine.open(geometry)? });
        Ok(())
    }

    fn take_metadata(&mut self, key: String, value: String) -> Result<()> {
        let place = self.metadata.len();
        let new = value.len() as u64;
        match self.metadata.get_mut(&key) {
            Some((_, old)) => {
                self.metadata_bytes = self.metadata_bytes + new - old.len() as u64;
                *old = value;
            }
            None => {
                self.metadata_bytes += METADATA_ENTRY + key.len() as u64 + new;
                self.metadata.insert(key, (place, value));
            }
        }
        self.hold()
    }

    /// Leaves to the parser what memory is left.
    fn hold(&mut self) -> Result<()> {
        let (held, most) = (self.work_space + self.metadata_bytes, self.options.limits.max_memory);
        if held > most {
            let what = format!(
                "decoding with {} bytes of metadata takes {held}, at most {most} are wanted \
                 (max_memory)",
                self.metadata_bytes
            );
            return Err(Error::Limit { what });
        }
        self.parser.hold(held);
        Ok(())
    }

    fn decode(&mut self, offset: u64, size: u64, frame: u64, unit: &CodedUnit) -> Result<()> {
        if self.sequence.is_none() || !(unit.intra || self.units > 0) {
            let kind = if unit.intra { "an intra" } else { "an inter" };
            return Err(Error::corrupt(offset, format!("{kind} unit comes too early")));
        }
        self.skip_to(offset, frame)?;
        let last = self.next_frame + u64::from(unit.shown) - 1;
        let name = self.name(last, offset);
        let Some(Sequence { header, decoder }) = &mut self.sequence else { return Ok(()) };
        let most = self.options.limits.max_work;
        self.work += header.coded_pixels() * u64::from(header.frames_per_unit);
        if self.work > most {
            let what = format!("{name}: more than {most} samples to decode (max_work)");
            return Err(Error::Limit { what });
        }
        // The entropy-coded data is the last of a unit, before its checksum.
        let start = offset + size.saturating_sub(unit.stream.len() as u64 + 4);
        let pictures = match decoder.decode(unit) {
            Ok(pictures) => pictures,
            Err(error) => return Err(self.undecodable(error.within(start), &name)),
        };
        self.units += 1;
        if let Some(hash) = unit.feature_hash {
            self.agrees = Some(hash == decoder.digest());
            if self.options.verify && self.agrees == Some(false) {
                return Err(mismatch(&name));
            }
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

    /// What errors call the unit with the next frames.
    fn name(&self, last: u64, offset: u64) -> String {
        let number = self.units + self.undecodable;
        let unit = match self.numbered && self.lost.is_empty() {
            true => format!("unit {number}"),
            false => "the unit".into(),
        };
        match self.next_frame {
            first if first == last => format!("{unit} (frame {first}, byte {offset})"),
            first => format!("{unit} (frames {first} to {last}, byte {offset})"),
        }
    }

    /// Whether too many intact units could not be decoded.
    fn gives_up(&self) -> bool {
        self.undecodable > MOST_UNDECODABLE + self.units
    }

    /// What is wrong with a unit that could not be decoded although its checksum is right.
    fn undecodable(&mut self, error: Error, name: &str) -> Error {
        let Error::Corrupt { offset, what } = error else { return error };
        self.undecodable += 1;
        let differs = "the stream was made with other weights, or by a faulty encoder";
        let hint = match self.agrees {
            Some(true) => "its checksum is right: an encoder at fault, or an attack".into(),
            Some(false) => format!("the decoder's state is not the encoder's: {differs}"),
            None => format!("its checksum is right: {differs}"),
        };
        let hint = match self.gives_up() {
            true if self.options.skip => {
                format!("{hint}; {} such units are enough to give up", self.undecodable)
            }
            _ => hint,
        };
        if self.options.verify || self.agrees == Some(true) {
            Error::corrupt(offset, format!("{name}: {what}; {hint}"))
        } else {
            // The bytes are those that were written.
            let what = format!("{name} cannot be decoded: {what}, byte {offset}; {hint}");
            Error::Undecodable { what }
        }
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
        let name = format!("the last unit (before byte {offset})");
        let Some(Sequence { decoder, .. }) = &self.sequence else { return Ok(()) };
        match end.feature_hash {
            Some(hash) if self.options.verify && self.lost.is_empty() && self.units > 0 => {
                match hash == decoder.digest() {
                    true => Ok(()),
                    false => Err(mismatch(&name)),
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

    /// Keeps an error, unless there is going on at the next random-access unit.
    fn note(&mut self, error: Error) -> Shared<()> {
        let severity = error.severity();
        let error = Arc::new(error);
        if severity == Severity::Outside {
            return Err(error);
        }
        self.damage.get_or_insert_with(|| Arc::clone(&error));
        if severity == Severity::Final || !self.options.skip || self.gives_up() {
            self.failure = Some(Arc::clone(&error));
            return Err(error);
        }
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

fn mismatch(name: &str) -> Error {
    Error::Mismatch {
        what: format!(
            "{name}: decoding gives another state here than encoding did, so the pictures would be \
             wrong: the stream was made with other weights, by a faulty encoder, or was changed \
             since; --no-verify (verify=False) decodes all the same"
        ),
    }
}
