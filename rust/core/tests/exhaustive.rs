//! Every small change of small files, one after the other, with the number of cases tried.

mod common;

use common::{coded, header, parse_all};
use ui2c_core::Error;
use ui2c_core::bitstream::{Limits, MAGIC, VERSION, Writer, crc32c};
use ui2c_core::rans::{Decoder, Encoder, Loops, MAX_LOG2_LANES, Tables};
use ui2c_core::yuv::Reader;

fn container() -> Vec<u8> {
    let mut writer = Writer::new(header()).unwrap();
    let mut bytes = writer.start().unwrap();
    bytes.extend(writer.metadata("k", "v").unwrap());
    for i in 0..4 {
        bytes.extend(writer.unit(&coded(i % 2 == 0, i), i == 2).unwrap());
    }
    bytes.extend(writer.end(Some(1)).unwrap());
    bytes
}

/// All changes: prefixes, flipped bits, bytes replaced, inserted and removed.
fn changes(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cuts = (0..bytes.len()).map(|at| bytes[..at].to_vec());
    let flips = (0..8 * bytes.len()).map(|bit| {
        let mut changed = bytes.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    let replaced = (0..bytes.len()).flat_map(|at| {
        [0, 0x7f, 0x80, 0xff].map(|value| {
            let mut changed = bytes.to_vec();
            changed[at] = value;
            changed
        })
    });
    let inserted = (0..=bytes.len()).flat_map(|at| {
        [0, 1, 0x7f, 0xff].map(|value| {
            let mut changed = bytes.to_vec();
            changed.insert(at, value);
            changed
        })
    });
    let removed = (1..=8).flat_map(move |count| {
        (0..=bytes.len().saturating_sub(count)).map(move |at| {
            let mut changed = bytes.to_vec();
            changed.drain(at..(at + count).min(bytes.len()));
            changed
        })
    });
    let changed = cuts.chain(flips).chain(replaced).chain(inserted).chain(removed);
    changed.filter(move |changed| changed != bytes)
}

#[test]
fn container_changes_are_noticed() {
    let bytes = container();
    let (units, result) = parse_all(&bytes, Limits::default());
    result.unwrap();
    let index = units.last().unwrap().offset as usize;
    let mut cases = 0;
    for changed in changes(&bytes) {
        let (_, result) = parse_all(&changed, Limits::default());
        let without_index = changed == bytes[..index];
        assert_eq!(result.is_ok(), without_index, "{changed:02x?}");
        assert!(!matches!(result, Err(Error::InvalidArgument { .. } | Error::Io(_))));
        cases += 1;
    }
    println!("container: {cases} changes of {} bytes", bytes.len());
}

#[test]
fn coder_changes_have_one_outcome() {
    let frequencies = [500, 3000, 500, 96, 4000, 96];
    let tables = Tables::new(&frequencies, &[4, 2], 0).unwrap();
    let indexes: Vec<u8> = (0..900).map(|i| u8::from(i % 5 == 0)).collect();
    let symbols: Vec<i16> = (0..900).map(|i| [0, 0, 1, 0, -1, 0, 0][i % 7]).collect();
    let mut symbols: Vec<i16> =
        symbols.iter().zip(&indexes).map(|(&s, &index)| if index == 1 { 0 } else { s }).collect();
    (symbols[77], symbols[700]) = (-20, 5000);
    let (mut cases, mut accepted) = (0, 0);
    for log2_lanes in 0..=MAX_LOG2_LANES {
        let mut encoder = Encoder::new();
        encoder.put_slice(&tables, &indexes, &symbols).unwrap();
        let (_, stream) = encoder.finish(Some(log2_lanes)).unwrap();
        for changed in changes(&stream) {
            let plain = decode_plainly(&tables, &indexes, &changed, log2_lanes);
            assert!(matches!(plain, Ok(_) | Err(Error::Corrupt { .. })));
            let plain = plain.ok();
            for loops in Loops::available() {
                let decoded = decode(loops, &tables, &indexes, &changed, log2_lanes);
                assert!(matches!(decoded, Ok(_) | Err(Error::Corrupt { .. })));
                assert!(decoded.ok() == plain, "{loops}, {} lanes", 1 << log2_lanes);
            }
            cases += 1;
            accepted += usize::from(plain.is_some());
        }
    }
    // Values in the bypass bits may be others; what is left goes to the unit's checksum.
    assert!(accepted * 50 < cases, "{accepted} of {cases}");
    println!("coder: {cases} changes, {accepted} of them decode");
}

fn decode(
    loops: Loops,
    tables: &Tables,
    indexes: &[u8],
    stream: &[u8],
    log2_lanes: u8,
) -> Result<Vec<i16>, Error> {
    let mut decoder = Decoder::new(stream, log2_lanes)?;
    decoder.set_loops(loops);
    let mut symbols = vec![0; indexes.len()];
    decoder.get_slice(tables, indexes, &mut symbols)?;
    decoder.finish()?;
    Ok(symbols)
}

fn decode_plainly(
    tables: &Tables,
    indexes: &[u8],
    stream: &[u8],
    log2_lanes: u8,
) -> Result<Vec<i16>, Error> {
    let mut decoder = Decoder::new(stream, log2_lanes)?;
    let symbols = indexes.iter().map(|&index| Ok(decoder.get(tables, index)? as i16));
    let symbols = symbols.collect::<Result<_, Error>>()?;
    decoder.finish()?;
    Ok(symbols)
}

#[test]
fn y4m_changes_are_read_or_refused() {
    let header = "YUV4MPEG2 W3 H2 F25:1 Ip A1:1 C420p10 XCOLORRANGE=FULL\n";
    let bytes = [header.as_bytes(), b"FRAME\n", &[1; 20], b"FRAME\n", &[2; 20]].concat();
    let (mut cases, mut accepted) = (0, 0);
    for changed in changes(&bytes) {
        let frames =
            Reader::from_y4m(Box::new(std::io::Cursor::new(changed))).and_then(|mut reader| {
                std::iter::from_fn(|| reader.read().transpose()).collect::<Result<Vec<_>, _>>()
            });
        assert!(!matches!(frames, Err(Error::InvalidArgument { .. } | Error::Io(_))));
        cases += 1;
        accepted += usize::from(frames.is_ok());
    }
    println!("y4m: {cases} changes, {accepted} of them readable");
}

/// Numbers that a field may claim, as a varint.
fn claims() -> impl Iterator<Item = (u64, Vec<u8>)> {
    let sizes = (0..63).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
    sizes.map(|size| {
        let mut rest = size;
        let mut bytes = Vec::new();
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        (size, bytes)
    })
}

#[test]
fn claimed_sizes_and_dimensions_are_checked() {
    let start = Writer::new(header()).unwrap().start().unwrap();
    let mut cases = 0;
    for kind in [1, 3, 4, 0x85, 0x86, 0xff] {
        for (size, length) in claims().filter(|(size, _)| *size > 50) {
            let stream = [&start[..], &[kind], &length, &[7; 40]].concat();
            let (units, result) = parse_all(&stream, Limits::default());
            assert_eq!(units.len(), 1);
            match result.unwrap_err() {
                Error::Truncated { .. } => assert!(size <= Limits::default().max_unit_bytes),
                Error::Limit { .. } => assert!(size > Limits::default().max_unit_bytes),
                Error::Corrupt { .. } => assert!(size > u32::MAX.into()),
                other => panic!("{other}"),
            }
            cases += 1;
        }
    }
    let payload = &start[12..start.len() - 4];
    for (width, width_bytes) in claims() {
        for (height, height_bytes) in claims() {
            let payload = [&payload[..2], &width_bytes, &height_bytes, &payload[6..]].concat();
            let unit = [&[1, payload.len() as u8], &payload[..]].concat();
            let checksum = crc32c(&unit, 0).to_le_bytes();
            let stream = [&MAGIC[..], &VERSION, &unit, &checksum].concat();
            let (units, result) = parse_all(&stream, Limits::default());
            let sides_fit = [width, height].iter().all(|side| (1..=65535).contains(side));
            let area = |side: u64| side.next_multiple_of(16);
            let fits = sides_fit && area(width) * area(height) <= Limits::default().max_pixels;
            assert_eq!(units.len(), usize::from(fits), "{width} x {height}");
            match result.unwrap_err() {
                Error::Truncated { .. } => assert!(fits),
                Error::Limit { .. } => assert!(sides_fit && !fits),
                Error::Corrupt { .. } => assert!(!sides_fit),
                other => panic!("{other}"),
            }
            cases += 1;
        }
    }
    println!("claims: {cases} sizes and dimensions");
}

#[test]
fn short_files_are_refused() {
    let mut cases = 0;
    for length in 0..3 {
        for value in 0..1u32 << (8 * length) {
            let bytes = &value.to_le_bytes()[..length as usize];
            assert!(parse_all(bytes, Limits::default()).1.is_err());
            let behind = [&MAGIC[..], &VERSION, bytes].concat();
            assert!(parse_all(&behind, Limits::default()).1.is_err());
            cases += 2;
        }
    }
    println!("short files: {cases}");
}
