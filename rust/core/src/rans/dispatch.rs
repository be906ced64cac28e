//! Which level is fastest for which number of lanes, measured once.
//!
//! That a processor has an instruction does not say that it is worth using: gathers are slow on
//! some, and microcode has made them slower on others.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{Decoder, Encoder, Level, MAX_LOG2_LANES, Tables};

/// Fewest lanes for which there are loops above the plain one.
const LEAST: u8 = 4;

/// Symbols of the trial, and how often it is made.
const SYMBOLS: usize = 1 << 13;
const TRIALS: usize = 3;

const COUNT: usize = (MAX_LOG2_LANES - LEAST + 1) as usize;

#[derive(Clone, Copy)]
struct Choice {
    decode: Level,
    encode: Level,
}

/// The levels used for decoding and for encoding on 2^`log2_lanes` lanes.
pub fn chosen_levels(log2_lanes: u8) -> (Level, Level) {
    let Choice { decode, encode } = choice(log2_lanes);
    (decode, encode)
}

pub(super) fn for_decoding(log2_lanes: u8) -> Level {
    choice(log2_lanes).decode
}

pub(super) fn for_encoding(log2_lanes: u8) -> Level {
    choice(log2_lanes).encode
}

fn choice(log2_lanes: u8) -> Choice {
    static CHOICES: OnceLock<[Choice; COUNT]> = OnceLock::new();
    match log2_lanes.min(MAX_LOG2_LANES).checked_sub(LEAST) {
        None => Choice { decode: Level::SCALAR, encode: Level::SCALAR },
        Some(at) => CHOICES.get_or_init(measure)[usize::from(at)],
    }
}

fn measure() -> [Choice; COUNT] {
    if let [only] = Level::available() {
        return [Choice { decode: *only, encode: *only }; COUNT];
    }
    let trial = Trial::new();
    std::array::from_fn(|i| {
        let log2_lanes = LEAST + i as u8;
        let best = |time: &dyn Fn(Level) -> Duration| {
            let levels = Level::available().iter().copied();
            levels.min_by_key(|&level| time(level)).unwrap_or(Level::SCALAR)
        };
        let (_, stream) = trial.encode(Level::SCALAR, log2_lanes);
        Choice {
            decode: best(&|level| shortest(|| trial.decode(level, log2_lanes, &stream))),
            encode: best(&|level| shortest(|| trial.encode(level, log2_lanes).0)),
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

    fn decode(&self, level: Level, log2_lanes: u8, stream: &[u8]) -> Duration {
        let mut symbols = vec![0; SYMBOLS];
        let mut decoder = Decoder::new(stream, log2_lanes).expect("the stream is of as many lanes");
        decoder.set_level(level);
        let start = Instant::now();
        decoder
            .get_slice(&self.tables, &self.indexes, &mut symbols)
            .expect("the stream is the encoder's");
        start.elapsed()
    }
}
