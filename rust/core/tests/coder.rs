//! The entropy coder: what goes in comes out, and nothing else is accepted.

use proptest::prelude::*;
use ui2c_core::Error;
use ui2c_core::rans::{Decoder, Encoder, MAX_LOG2_LANES, Tables};

/// One table of 2m + 2 entries with the given weights, scaled to sum to 4096.
fn table(weights: &[u16]) -> Vec<u16> {
    let sum: usize = weights.iter().map(|&w| usize::from(w)).sum::<usize>().max(1);
    let free = 4096 - weights.len();
    let mut table: Vec<u16> =
        weights.iter().map(|&w| (1 + usize::from(w) * free / sum) as u16).collect();
    table[weights.len() / 2] += 4096 - table.iter().sum::<u16>();
    table
}

#[derive(Clone, Debug)]
struct Shapes {
    frequencies: Vec<u16>,
    lengths: Vec<u16>,
    skip: u8,
}

impl Shapes {
    fn tables(&self) -> Tables {
        Tables::new(&self.frequencies, &self.lengths, self.skip).unwrap()
    }
}

fn shapes() -> impl Strategy<Value = Shapes> {
    let one = (0usize..=127).prop_flat_map(|m| {
        let weight = prop_oneof![Just(0u16), 0u16..20, 0u16..2000];
        prop::collection::vec(weight, 2 * m + 2)
    });
    (prop::collection::vec(one, 1..5), 0u8..3).prop_map(|(weights, skip)| {
        let tables: Vec<_> = weights.iter().map(|w| table(w)).collect();
        Shapes {
            lengths: tables.iter().map(|t| t.len() as u16).collect(),
            skip: skip.min(tables.len() as u8),
            frequencies: tables.concat(),
        }
    })
}

/// One step of a segment: a symbol with its table, or raw bits.
#[derive(Clone, Copy, Debug)]
enum Item {
    Symbol(u8, i32),
    Bits(u32, u32),
}

fn item(tables: u8, skip: u8) -> impl Strategy<Value = Item> {
    let symbol = prop_oneof![
        4 => -3i32..=3,
        2 => -140i32..=140,
        1 => i32::from(i16::MIN)..=i32::from(i16::MAX),
        1 => Just(i32::from(i16::MIN)),
        1 => Just(i32::from(i16::MAX)),
    ];
    prop_oneof![
        9 => (0..tables, symbol).prop_map(move |(t, s)| Item::Symbol(t, if t < skip { 0 } else { s })),
        1 => (any::<u32>(), 0u32..=32)
            .prop_map(|(v, n)| Item::Bits((u64::from(v) & ((1 << n) - 1)) as u32, n)),
    ]
}

fn plan() -> impl Strategy<Value = (Shapes, Vec<Vec<Item>>)> {
    shapes().prop_flat_map(|shapes| {
        let item = item(shapes.lengths.len() as u8, shapes.skip);
        let segments = prop::collection::vec(prop::collection::vec(item, 0..60), 0..4);
        (Just(shapes), segments)
    })
}

fn encode(tables: &Tables, segments: &[Vec<Item>], log2_lanes: Option<u8>) -> (u8, Vec<u8>) {
    let mut encoder = Encoder::new();
    for segment in segments {
        encoder.begin_segment();
        for &item in segment {
            match item {
                Item::Symbol(index, symbol) => encoder.put(tables, index, symbol).unwrap(),
                Item::Bits(value, count) => encoder.put_bits(value, count).unwrap(),
            }
        }
    }
    encoder.finish(log2_lanes).unwrap()
}

fn decode(
    tables: &Tables,
    segments: &[Vec<Item>],
    data: &[u8],
    log2_lanes: u8,
) -> Result<Vec<Vec<Item>>, Error> {
    let mut decoder = Decoder::new(data, log2_lanes)?;
    let mut decoded = Vec::new();
    for segment in segments {
        decoder.begin_segment();
        let items = segment.iter().map(|&item| match item {
            Item::Symbol(index, _) => Ok(Item::Symbol(index, decoder.get(tables, index)?)),
            Item::Bits(_, count) => Ok(Item::Bits(decoder.get_bits(count)?, count)),
        });
        decoded.push(items.collect::<Result<Vec<_>, Error>>()?);
    }
    decoder.finish()?;
    Ok(decoded)
}

fn same(a: &[Vec<Item>], b: &[Vec<Item>]) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

fn is_corrupt<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Corrupt { .. }))
}

fn is_invalid<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::InvalidArgument { .. }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn round_trip((shapes, segments) in plan(), lanes in prop::option::of(0..=MAX_LOG2_LANES)) {
        let tables = shapes.tables();
        let (log2_lanes, data) = encode(&tables, &segments, lanes);
        prop_assert!(lanes.is_none_or(|lanes| lanes == log2_lanes));
        let decoded = decode(&tables, &segments, &data, log2_lanes).unwrap();
        prop_assert!(same(&decoded, &segments), "{decoded:?}");
    }

    #[test]
    fn missing_and_extra_bytes_are_corrupt(
        symbols in prop::collection::vec(-1i16..=1, 0..200),
        lanes in 0..=3u8,
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let indexes = vec![0; symbols.len()];
        let mut encoder = Encoder::new();
        encoder.put_slice(&small(), &indexes, &symbols).unwrap();
        let (_, data) = encoder.finish(Some(lanes)).unwrap();
        let decode = |data: &[u8]| {
            let mut decoder = Decoder::new(data, lanes)?;
            decoder.get_slice(&small(), &indexes, &mut vec![0; indexes.len()])?;
            decoder.finish()
        };
        prop_assert!(decode(&data).is_ok());
        let at = at.index(data.len());
        prop_assert!(is_corrupt(decode(&data[..at])));
        let mut more = data.clone();
        more.insert(at, byte);
        prop_assert!(is_corrupt(decode(&more)));
    }

    #[test]
    fn garbage_never_panics((shapes, segments) in plan(), lanes in 0..=MAX_LOG2_LANES,
                            data in prop::collection::vec(any::<u8>(), 0..400)) {
        let tables = shapes.tables();
        if let Err(error) = decode(&tables, &segments, &data, lanes) {
            prop_assert!(is_corrupt::<()>(Err(error)));
        }
    }
}

/// Symbols -1, 0, 1 and the escape, in this order.
const FREQUENCIES: [u16; 4] = [500, 3000, 500, 96];

fn small() -> Tables {
    Tables::new(&FREQUENCIES, &[4], 0).unwrap()
}

#[test]
fn slices_equal_single_calls() {
    let tables = Tables::new(&FREQUENCIES.repeat(3), &[4; 3], 1).unwrap();
    let indexes: Vec<u8> = (0..500).map(|i| (i * 7 % 3) as u8).collect();
    let symbols: Vec<i16> = indexes
        .iter()
        .enumerate()
        .map(|(i, &t)| if t == 0 { 0 } else { [0, 0, 1, 0, -1, 0, 300, -32768][i % 8] })
        .collect();
    let mut whole = Encoder::new();
    whole.put_slice(&tables, &indexes, &symbols).unwrap();
    let mut single = Encoder::new();
    for (&index, &symbol) in indexes.iter().zip(&symbols) {
        single.put(&tables, index, symbol.into()).unwrap();
    }
    let (_, data) = whole.finish(Some(2)).unwrap();
    assert_eq!(data, single.finish(Some(2)).unwrap().1);

    let mut decoded = vec![7; symbols.len()];
    let mut decoder = Decoder::new(&data, 2).unwrap();
    decoder.get_slice(&tables, &indexes, &mut decoded).unwrap();
    decoder.finish().unwrap();
    assert_eq!(decoded, symbols);
}

#[test]
fn skipped_elements_take_no_lane_and_no_bytes() {
    let tables = Tables::new(&FREQUENCIES.repeat(2), &[4; 2], 1).unwrap();
    let code = |indexes: &[u8], symbols: &[i16]| {
        let mut encoder = Encoder::new();
        encoder.put_slice(&tables, indexes, symbols).unwrap();
        encoder.finish(Some(1)).unwrap().1
    };
    assert_eq!(code(&[1, 1, 1], &[1, -1, 0]), code(&[0, 1, 0, 0, 1, 1], &[0, 1, 0, 0, -1, 0]));
}

#[test]
fn segments_begin_at_lane_zero() {
    let tables = small();
    let code = |segments: &[&[i16]]| {
        let mut encoder = Encoder::new();
        for symbols in segments {
            encoder.put_slice(&tables, &vec![0; symbols.len()], symbols).unwrap();
        }
        encoder.finish(Some(1)).unwrap().1
    };
    // Three and three: the fourth symbol is on lane 1 of one segment, or on lane 0 of the second.
    assert_ne!(code(&[&[1, 0, 1, 1, 0, -1]]), code(&[&[1, 0, 1], &[1, 0, -1]]));
    // Cut at an even place, nothing changes; nor do empty segments change anything.
    assert_eq!(code(&[&[1, 0, 1, 1]]), code(&[&[1, 0], &[], &[1, 1]]));
}

#[test]
fn empty_stream_is_the_states() {
    for log2_lanes in 0..=MAX_LOG2_LANES {
        let (_, data) = Encoder::new().finish(Some(log2_lanes)).unwrap();
        assert_eq!(data, [0, 0, 1, 0].repeat(1 << log2_lanes));
        Decoder::new(&data, log2_lanes).unwrap().finish().unwrap();
    }
    assert_eq!(Encoder::new().finish(None).unwrap(), (0, vec![0, 0, 1, 0]));
}

#[test]
fn lanes_follow_the_size() {
    for count in [0, 100, 300, 1000, 5000, 18_000, 25_000] {
        let mut encoder = Encoder::new();
        let symbols: Vec<i16> = (0..count).map(|i| [0, 300, -300, 1][i % 4]).collect();
        encoder.put_slice(&small(), &vec![0; count], &symbols).unwrap();
        let (log2_lanes, data) = encoder.finish(None).unwrap();
        let states = 4 << log2_lanes;
        assert!(log2_lanes == 0 || states * 200 <= data.len() + states, "{count}: {log2_lanes}");
        assert!(log2_lanes == 6 || states * 200 * 2 > data.len() - states, "{count}: {log2_lanes}");
    }
}

#[test]
fn size_is_near_the_entropy() {
    let tables = small();
    let count = 40_000;
    let symbols: Vec<i16> = (0..count).map(|i| [0, 0, 0, 1, 0, 0, -1, 0][i % 8]).collect();
    let ideal: f64 = symbols
        .iter()
        .map(|&s| (4096.0 / f64::from(FREQUENCIES[(s + 1) as usize])).log2())
        .sum::<f64>()
        / 8.0;
    let mut encoder = Encoder::new();
    encoder.put_slice(&tables, &vec![0; count], &symbols).unwrap();
    let (_, data) = encoder.finish(None).unwrap();
    assert!((data.len() as f64) < ideal * 1.006 + 4.0, "{} bytes, {ideal:.0} ideal", data.len());
}

#[test]
fn every_size_is_near_the_entropy() {
    let tables = small();
    let mut state = 1u64;
    for bytes in [200, 500, 1000, 2000, 5000, 20_000, 100_000] {
        let (mut ideal, mut coded, mut most) = (0.0, 0.0, 0.0f64);
        for _ in 0..20 {
            // Symbols as probable as the table says.
            let mut draw = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                match state >> 32 & 4095 {
                    0..500 => -1,
                    500..3500 => 0,
                    _ => 1,
                }
            };
            let symbols: Vec<i16> = (0..bytes * 7).map(|_| draw()).collect();
            let bits = |&s: &i16| 12.0 - f64::from(FREQUENCIES[(s + 1) as usize]).log2();
            let length = symbols.iter().map(bits).sum::<f64>() / 8.0;
            let mut encoder = Encoder::new();
            encoder.put_slice(&tables, &vec![0; symbols.len()], &symbols).unwrap();
            let (log2_lanes, data) = encoder.finish(None).unwrap();
            let more = data.len() as f64 - length;
            // A state has 32 bits, of which 16 at most are symbols'.
            most = most.max((more - 0.001 * length) / f64::from(1 << log2_lanes));
            ideal += length;
            coded += data.len() as f64;
        }
        assert!(most <= 4.0, "{bytes} bytes: {most:.2} per lane");
        let (lane, share) = (3.5 / bytes as f64, coded / ideal - 1.0);
        assert!(share < lane.max(0.0045), "{bytes} bytes: {:.2} %", 100.0 * share);
    }
}

#[test]
fn tables_are_checked() {
    assert!(is_invalid(Tables::new(&[], &[], 0)), "no table");
    assert!(is_invalid(Tables::new(&[4095], &[1], 0)), "odd number of entries");
    assert!(is_invalid(Tables::new(&[4000, 96, 1], &[3], 0)), "odd number of entries");
    assert!(is_invalid(Tables::new(&[], &[0], 0)), "empty table");
    assert!(is_invalid(Tables::new(&[4096, 0], &[2], 0)), "zero frequency");
    assert!(is_invalid(Tables::new(&[4000, 95], &[2], 0)), "sum too small");
    assert!(is_invalid(Tables::new(&[65535, 4097], &[2], 0)), "sum that is right modulo 2^16");
    assert!(is_invalid(Tables::new(&[4000, 96], &[4], 0)), "too few frequencies");
    assert!(is_invalid(Tables::new(&[4000, 96, 1, 1], &[2], 0)), "too many frequencies");
    assert!(is_invalid(Tables::new(&[4000, 96], &[2], 2)), "skip beyond the tables");
    assert!(is_invalid(Tables::new(&[16; 256 + 2], &[258], 0)), "too long");
    assert!(is_invalid(Tables::new(&[2048; 2 * 257], &[2; 257], 0)), "too many tables");
    assert_eq!(Tables::new(&[2048; 2 * 256], &[2; 256], 255).unwrap().len(), 256);
    assert!(Tables::new(&[16; 256], &[256], 1).is_ok());
}

#[test]
fn bad_arguments_are_named() {
    let tables = Tables::new(&FREQUENCIES.repeat(2), &[4; 2], 1).unwrap();
    let mut encoder = Encoder::new();
    assert!(is_invalid(encoder.put(&tables, 2, 0)), "no such table");
    assert!(is_invalid(encoder.put(&tables, 0, 1)), "not zero, but skipped");
    assert!(is_invalid(encoder.put(&tables, 1, 32768)), "more than 16 bits");
    assert!(is_invalid(encoder.put(&tables, 1, i32::MIN)), "more than 16 bits");
    assert!(is_invalid(encoder.put_bits(4, 2)), "more bits than said");
    assert!(is_invalid(encoder.put_bits(0, 33)), "more bits than fit");
    assert!(is_invalid(encoder.put_slice(&tables, &[1], &[0, 0])), "lengths differ");
    let (_, data) = encoder.finish(Some(0)).unwrap();
    assert_eq!(data, [0, 0, 1, 0], "refused symbols leave nothing behind");
    assert!(is_invalid(Encoder::new().finish(Some(7))), "too many lanes");

    let mut decoder = Decoder::new(&data, 0).unwrap();
    assert!(is_invalid(decoder.get(&tables, 255)), "no such table");
    assert!(is_invalid(decoder.get_bits(33)), "more bits than fit");
    assert!(is_invalid(decoder.get_slice(&tables, &[0], &mut [0; 2])), "lengths differ");
    assert!(is_invalid(Decoder::new(&data, 7)), "too many lanes");
    assert!(is_corrupt(Decoder::new(&data, 1)), "states of one lane only");
    assert!(is_corrupt(Decoder::new(&[255, 255, 0, 0], 0)), "state below the bound");
}

/// A stream of the one symbol 5, so that its bypass byte can be tampered with.
fn escaped() -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.put(&small(), 0, 5).unwrap();
    encoder.finish(Some(0)).unwrap().1
}

fn decode_one(data: &[u8]) -> Result<i32, Error> {
    let mut decoder = Decoder::new(data, 0)?;
    let symbol = decoder.get(&small(), 0)?;
    decoder.finish()?;
    Ok(symbol)
}

#[test]
fn bypass_bits_lie_as_specified() {
    let data = escaped();
    // 5 is 3 past the last symbol: 3 + 1 = 0b100 has two zeros before it, then a one, the low bits
    // of 0b100 least significant first, the sign: 0, 0, 1, 0, 0, 0 from the byte's low end.
    assert_eq!(data.last(), Some(&0b000_100));
    assert_eq!(decode_one(&data).unwrap(), 5);

    let with = |last: u8| [&data[..data.len() - 1], &[last]].concat();
    assert_eq!(decode_one(&with(0b100_100)).unwrap(), -5);
    assert_eq!(decode_one(&with(0b001_100)).unwrap(), 6);
    assert!(is_corrupt(decode_one(&with(0b1_000_100))), "unused bits are not zero");
    assert_eq!(decode_one(&with(0b0010)).unwrap(), 3);
}

#[test]
fn escapes_beyond_16_bits_are_corrupt() {
    let data = escaped();
    let states = &data[..data.len() - 1];
    // Prefix of 15 zeros, a one, 15 bits, sign; in reading order from the last byte backwards.
    let with = |value: u32, sign: u32| {
        [states, &(1 << 15 | value << 16 | sign << 31).to_be_bytes()].concat()
    };
    // The value is 2^15 - 1 + `value` and comes on top of 2.
    assert!(is_corrupt(decode_one(&with(0, 0))), "32769");
    assert!(is_corrupt(decode_one(&with(0, 1))), "-32769");
    let mut shortest = Encoder::new();
    shortest.put(&small(), 0, -32768).unwrap();
    assert_eq!(decode_one(&shortest.finish(Some(0)).unwrap().1).unwrap(), -32768);
    assert!(is_corrupt(decode_one(&[states, &[0; 9]].concat())), "endless prefix");
}
