//! Which loops are fastest for which number of lanes, measured once.
//!
//! That a processor has an instruction does not say that it is worth using: gathers are slow on
//! some, and microcode has made them slower on others.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{Decoder, Encoder, Level, MAX_LOG2_LANES, Tables};

/// Fewest lanes for which there are loops above the plain one.
const LEAST: u8 = 4;

/// Symbols of the trial, and how often it is made.
const SYMBOLS: usize = 1 << 13;
const TRIALS: usize = 3;

const COUNT: usize = (MAX_LOG2_LANES - LEAST + 1) as usize;

/// How a vector of table entries comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetch {
    /// By one instruction.
    Gather,
    /// One entry after the other.
    Load,
}

/// Loops that decode: the instructions of a level, table entries gathered where it can or loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loops {
    pub(super) level: Level,
    pub(super) fetch: Fetch,
}

impl Loops {
    /// All of this processor's, the plain ones first.
    pub fn available() -> impl Iterator<Item = Self> + Clone {
        Level::available().iter().flat_map(|&level| {
            let gathers = level.gathers().then_some(Fetch::Gather);
            let fetches = gathers.into_iter().chain([Fetch::Load]);
            fetches.map(move |fetch| Self { level, fetch })
        })
    }

    /// The instructions.
    pub fn level(self) -> Level {
        self.level
    }
}

impl fmt::Display for Loops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gathers = if self.fetch == Fetch::Gather { " gathers" } else { "" };
        write!(f, "{}{gathers}", self.level)
    }
}

#[derive(Clone, Copy)]
struct Choice {
    decode: Loops,
    encode: Level,
}

const PLAIN: Choice =
    Choice { decode: Loops { level: Level::SCALAR, fetch: Fetch::Load }, encode: Level::SCALAR };

/// The levels used for decoding and for encoding on 2^`log2_lanes` lanes.
pub fn chosen_levels(log2_lanes: u8) -> (Level, Level) {
    let Choice { decode, encode } = choice(log2_lanes);
    (decode.level, encode)
}

pub(super) fn for_decoding(log2_lanes: u8) -> Loops {
    choice(log2_lanes).decode
}

pub(super) fn for_encoding(log2_lanes: u8) -> Level {
    choice(log2_lanes).encode
}

fn choice(log2_lanes: u8) -> Choice {
    static CHOICES: OnceLock<[Choice; COUNT]> = OnceLock::new();
    match log2_lanes.min(MAX_LOG2_LANES).checked_sub(LEAST) {
        None => PLAIN,
        Some(at) => CHOICES.get_or_init(measure)[usize::from(at)],
    }
}

fn measure() -> [Choice; COUNT] {
    // WebAssembly has no others and may have no clock.
    if Level::available().len() == 1 || cfg!(target_family = "wasm") {
        return [PLAIN; COUNT];
    }
    let trial = Trial::new();
    std::array::from_fn(|i| {
        let log2_lanes = LEAST + i as u8;
        let (_, stream) = trial.encode(Level::SCALAR, log2_lanes);
        let decode = Loops::available()
            .min_by_key(|&loops| shortest(|| trial.decode(loops, log2_lanes, &stream)));
        let encode = Level::available()
            .iter()
            .min_by_key(|&&level| shortest(|| trial.encode(level, log2_lanes).0));
        Choice {
            decode: decode.unwrap_or(PLAIN.decode),
            encode: encode.copied().unwrap_or(PLAIN.encode),
        }
    })
}

fn shortest(run: impl Fn() -> Duration) -> Duration {
    (0..TRIALS).map(|_| run()).min().unwrap_or(Duration::MAX)
}

/// Symbols that need a word every few steps, with a few tables in turn.
struct Trial {
    tables: Tables,
    indexes: Vec<u8>,
    symbols: Vec<i16>,
}

impl Trial {
    fn new() -> Self {
        let frequencies = [[100, 200, 600, 2296, 600, 200, 96, 4], [1, 9, 90, 3800, 90, 9, 1, 96]];
        let tables = Tables::new(&frequencies.as_flattened().repeat(4), &[8; 8], 0)
            .expect("the frequencies of each table sum to 4096");
        // Any numbers without a pattern that a predictor would learn.
        let mut noise = 1u32;
        let mut next = move || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise >> 16
        };
        let indexes = (0..SYMBOLS).map(|_| (next() % 8) as u8).collect();
        let symbols =
            (0..SYMBOLS).map(|_| [0, 0, 0, 1, 0, -1, 0, 2][next() as usize % 8]).collect();
        Self { tables, indexes, symbols }
    }

    fn encode(&self, level: Level, log2_lanes: u8) -> (Duration, Vec<u8>) {
        let mut encoder = Encoder::with_level(level);
        let added = encoder.put_slice(&self.tables, &self.indexes, &self.symbols);
        let start = Instant::now();
        let stream = added.and_then(|()| encoder.finish(Some(log2_lanes)));
        let time = start.elapsed();
        (time, stream.expect("the symbols and lanes are valid").1)
    }

    fn decode(&self, loops: Loops, log2_lanes: u8, stream: &[u8]) -> Duration {
        let mut symbols = vec![0; SYMBOLS];
        let mut decoder = Decoder::new(stream, log2_lanes).expect("the stream is of as many lanes");
        decoder.set_loops(loops);
        let start = Instant::now();
        decoder
            .get_slice(&self.tables, &self.indexes, &mut symbols)
            .expect("the stream is the encoder's");
        start.elapsed()
    }
}
