//! Every level of the processor and every number of threads give the same bytes and symbols.

mod threads;

use proptest::prelude::*;
use rayon::prelude::*;
use threads::with_threads;
use ui2c_core::Error;
use ui2c_core::cpu::Level;
use ui2c_core::rans::{Decoder, Encoder, Loops, MAX_LOG2_LANES, Tables};

/// What is coded with what: one segment after the other.
type Segments = Vec<(Vec<u8>, Vec<i16>)>;

/// Tables of very different entropy: from nearly certain to flat, with m from 0 to 127.
fn tables(skip: u8) -> Tables {
    let shapes: [(usize, f64); 8] =
        [(0, 0.1), (1, 0.2), (2, 0.5), (4, 1.0), (9, 3.0), (40, 10.0), (127, 30.0), (127, 1e9)];
    let mut frequencies = Vec::new();
    let mut lengths = Vec::new();
    for (largest, scale) in shapes {
        let weight =
            |s: usize| (-(s as f64 - largest as f64).powi(2) / (2.0 * scale * scale)).exp();
        let count = 2 * largest + 1;
        let sum: f64 = (0..count).map(weight).sum();
        let free = (4095 - count) as f64;
        let mut table: Vec<u16> =
            (0..count).map(|s| 1 + (weight(s) / sum * free) as u16).chain([1]).collect();
        table[largest] += 4096 - table.iter().sum::<u16>();
        lengths.push(table.len() as u16);
        frequencies.extend(table);
    }
    Tables::new(&frequencies, &lengths, skip).unwrap()
}

const TABLES: u8 = 8;

/// A generator of numbers for long segments, where proptest's own would take too long.
fn noise(seed: u64) -> impl FnMut() -> u32 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    }
}

/// A segment of `count` elements; a part of them skipped, a few escaped.
fn segment(count: usize, skip: u8, seed: u64, escapes: u32) -> (Vec<u8>, Vec<i16>) {
    let mut next = noise(seed);
    let element = |_| {
        let index = (next() % u32::from(TABLES)) as u8;
        let reach = [1, 1, 2, 3, 8, 30, 120, 127][usize::from(index)];
        let symbol = (next() % (2 * reach + 1)) as i16 - reach as i16;
        let far = escapes > 0 && next().is_multiple_of(escapes);
        let symbol = if far { (next() >> 16) as i16 } else { symbol };
        (index, if index < skip { 0 } else { symbol })
    };
    (0..count).map(element).unzip()
}

/// As `put` gives it, which defines the others.
fn encode_plainly(tables: &Tables, segments: &Segments, lanes: Option<u8>) -> (u8, Vec<u8>) {
    let mut encoder = Encoder::with_level(Level::SCALAR);
    for (indexes, symbols) in segments {
        encoder.begin_segment();
        for (&index, &symbol) in indexes.iter().zip(symbols) {
            encoder.put(tables, index, symbol.into()).unwrap();
        }
    }
    encoder.finish(lanes).unwrap()
}

fn encode(level: Level, tables: &Tables, segments: &Segments, lanes: Option<u8>) -> (u8, Vec<u8>) {
    let mut encoder = Encoder::with_level(level);
    for (indexes, symbols) in segments {
        encoder.put_slice(tables, indexes, symbols).unwrap();
    }
    encoder.finish(lanes).unwrap()
}

fn decode_plainly(
    tables: &Tables,
    segments: &Segments,
    data: &[u8],
    lanes: u8,
) -> Result<Segments, Error> {
    let mut decoder = Decoder::new(data, lanes)?;
    let mut decoded = Vec::new();
    for (indexes, _) in segments {
        decoder.begin_segment();
        let symbols = indexes.iter().map(|&index| Ok(decoder.get(tables, index)? as i16));
        decoded.push((indexes.clone(), symbols.collect::<Result<_, Error>>()?));
    }
    decoder.finish()?;
    Ok(decoded)
}

fn decode(
    loops: Loops,
    tables: &Tables,
    segments: &Segments,
    data: &[u8],
    lanes: u8,
) -> Result<Segments, Error> {
    let mut decoder = Decoder::new(data, lanes)?;
    decoder.set_loops(loops);
    let mut decoded = Vec::new();
    for (indexes, _) in segments {
        let mut symbols = vec![i16::MIN; indexes.len()];
        decoder.get_slice(tables, indexes, &mut symbols)?;
        decoded.push((indexes.clone(), symbols));
    }
    decoder.finish()?;
    Ok(decoded)
}

/// Segments of lengths around every boundary: rounds, vectors, blocks.
fn plan() -> impl Strategy<Value = (u8, Segments)> {
    let length = prop_oneof![
        (0..200usize).boxed(),
        (0..3usize).prop_flat_map(|i| {
            let near = [1usize << 10, 1 << 14, 1 << 15][i];
            near - 3..near + 70usize
        })
    ];
    let escapes = prop_oneof![Just(0), Just(1000), Just(7)];
    let one = (length, any::<u64>(), escapes);
    (0..=TABLES, prop::collection::vec(one, 1..4)).prop_map(|(skip, all)| {
        let segments =
            all.iter().map(|&(count, seed, escapes)| segment(count, skip, seed, escapes));
        (skip, segments.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn all_levels_agree((skip, segments) in plan(), lanes in 0..=MAX_LOG2_LANES) {
        let tables = tables(skip);
        let plain = encode_plainly(&tables, &segments, Some(lanes)).1;
        prop_assert!(decode_plainly(&tables, &segments, &plain, lanes).unwrap() == segments);
        for &level in Level::available() {
            let (_, stream) = encode(level, &tables, &segments, Some(lanes));
            prop_assert!(stream == plain, "encoding at {}", level);
        }
        for loops in Loops::available() {
            let decoded = decode(loops, &tables, &segments, &plain, lanes).unwrap();
            prop_assert!(decoded == segments, "decoding at {}", loops);
        }
    }

    #[test]
    fn all_levels_refuse_the_same((skip, segments) in plan(), lanes in 0..=MAX_LOG2_LANES,
                                  at in any::<prop::sample::Index>(), bit in 0..8u8,
                                  cut in any::<prop::sample::Index>()) {
        let tables = tables(skip);
        let mut stream = encode_plainly(&tables, &segments, Some(lanes)).1;
        let at = at.index(stream.len());
        stream[at] ^= 1 << bit;
        stream.truncate(stream.len() - cut.index(stream.len()) % 3);
        let plain = decode_plainly(&tables, &segments, &stream, lanes).ok();
        for loops in Loops::available() {
            let decoded = decode(loops, &tables, &segments, &stream, lanes).ok();
            prop_assert!(decoded == plain, "at {}", loops);
        }
    }
}

/// States and frequencies at the ends of their ranges, where a quotient is most easily wrong.
#[test]
fn extreme_frequencies_divide_exactly() {
    for rare in [1u16, 2, 3, 5, 7, 2047, 4093] {
        let tables = Tables::new(&[rare, 4094 - rare, 1, 1], &[4], 0).unwrap();
        let mut next = noise(u64::from(rare));
        // The rare symbol among others, so that states of every size meet every frequency.
        let symbols: Vec<i16> = (0..50_000).map(|_| [-1, 0, -1, 1][next() as usize % 4]).collect();
        let segments = vec![(vec![0; symbols.len()], symbols)];
        let (_, plain) = encode_plainly(&tables, &segments, Some(6));
        for &level in Level::available() {
            for lanes in 4..=6 {
                let (_, stream) = encode(level, &tables, &segments, Some(lanes));
                assert!(decode_plainly(&tables, &segments, &stream, lanes).unwrap() == segments);
                assert!(lanes < 6 || stream == plain, "{level}, {rare}");
            }
        }
    }
}

#[test]
fn the_same_is_refused_when_encoding() {
    let tables = tables(2);
    for &level in Level::available() {
        for at in [0, 7, 40, 1500, 2000] {
            let (indexes, mut symbols) = segment(2001, 2, 1, 0);
            let mut wrong = indexes.clone();
            (wrong[at], symbols[at]) = (1, 5);
            let error = Encoder::with_level(level).put_slice(&tables, &wrong, &symbols);
            assert!(error.unwrap_err().to_string().contains("skipped"), "{level}, {at}");
            (wrong[at], symbols[at]) = (TABLES, 0);
            let error = Encoder::with_level(level).put_slice(&tables, &wrong, &symbols);
            assert!(error.unwrap_err().to_string().contains("8 tables"), "{level}, {at}");
        }
    }
}

#[test]
fn threads_do_not_change_bytes() {
    let tables = tables(3);
    let units: Vec<Segments> =
        (0..12).map(|unit| vec![segment(3000 * unit, 3, unit as u64 + 9, 500)]).collect();
    let plain: Vec<_> = units.iter().map(|unit| encode_plainly(&tables, unit, None)).collect();
    for threads in [1, 2, 8] {
        for &level in Level::available() {
            let streams: Vec<_> = with_threads(threads, || {
                units.par_iter().map(|unit| encode(level, &tables, unit, None)).collect()
            });
            assert!(streams == plain, "{threads} threads at {level}");
        }
    }
}
