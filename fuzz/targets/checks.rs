//! What must hold for any bytes. The fuzzers call these, and the tests replay the seeds with them.

#![allow(dead_code, reason = "each fuzzer uses one of them")]

use std::io::Cursor;
use std::sync::LazyLock;

use ui2c_core::bitstream::{
    Content, Limits, MAGIC, Parser, SYNC, Unit, VERSION, crc32c, index_at_end,
};
use ui2c_core::cpu::Level;
use ui2c_core::motion::field;
use ui2c_core::rans::{Decoder, Encoder, Loops, Tables};
use ui2c_core::yuv::Reader;
use ui2c_core::{Error, Result};

/// The bitstream: the way the bytes come in pieces changes nothing, no unit is larger than the
/// bytes it came from, damage is passed over in bounded steps.
pub fn parser(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    // Mutations hardly ever hit a right checksum, so half of the time it is made here.
    let stream = if mode & 1 == 0 { data.to_vec() } else { framed(data) };
    let whole = parse(&stream, stream.len().max(1));
    let pieces = parse(&stream, usize::from(mode >> 1) + 1);
    assert_eq!(whole, pieces);
    let held: u64 = whole.iter().map(|unit| unit.size).sum();
    assert!(held <= stream.len() as u64);
    let _ = index_at_end(&stream, stream.len() as u64, &Limits::default());
}

/// A stream of the units whose type, length and payload `data` gives, with right checksums.
fn framed(mut data: &[u8]) -> Vec<u8> {
    let mut stream = [&MAGIC[..], &VERSION].concat();
    while let [kind, length, rest @ ..] = data {
        let (payload, rest) = rest.split_at(usize::from(length & 0x7f).min(rest.len()));
        if kind & 0x87 == 2 {
            stream.extend(SYNC);
        }
        let unit = [&[*kind, payload.len() as u8], payload].concat();
        stream.extend(&unit);
        stream.extend(crc32c(&unit, 0).to_le_bytes());
        data = rest;
    }
    stream
}

/// All units that can be had, past any damage.
fn parse(stream: &[u8], piece: usize) -> Vec<Unit> {
    let limits = Limits { max_unit_bytes: 1 << 20, ..Limits::default() };
    let mut parser = Parser::new(limits);
    let mut pieces = stream.chunks(piece);
    let mut units = Vec::new();
    let mut closed = false;
    let mut idle = 0;
    loop {
        match parser.next_unit() {
            Ok(Some(unit)) => {
                units.push(unit);
                idle = 0;
            }
            Ok(None) if closed => return units,
            Ok(None) => match pieces.next() {
                Some(piece) => parser.feed(piece).unwrap(),
                None => {
                    parser.close();
                    closed = true;
                }
            },
            Err(Error::InvalidArgument { .. } | Error::Io(_)) => panic!("an error of the caller"),
            Err(_) => {
                idle += 1;
                if !parser.resync() && (closed || idle > stream.len() + 10) {
                    return units;
                }
                // After an end that was refused, what follows is no part of the sequence.
                if matches!(units.last().map(|unit| &unit.content), Some(Content::Index(_))) {
                    return units;
                }
            }
        }
    }
}

/// The entropy coder: all levels take and refuse the same and decode it to the same, what was
/// decoded is coded to the same bytes, and any symbols come back. Also motion fields.
pub fn coder(data: &[u8]) {
    let &[lanes, shape, count, ref stream @ ..] = data else {
        return;
    };
    let log2_lanes = lanes % 7;
    let tables = tables(shape % 9);
    let count = usize::from(count) * usize::from(1 + (shape >> 5));
    // Indexes that depend on the data, so that mutations move elements between tables.
    let index = |i: usize| {
        let byte = stream.get(i % stream.len().max(1)).copied().unwrap_or(0);
        byte.wrapping_add(i as u8).wrapping_mul(29) >> 5
    };
    let indexes: Vec<u8> = (0..count).map(index).collect();
    let plain = decode_plainly(tables, &indexes, stream, log2_lanes).ok();
    for loops in Loops::available() {
        let decoded = decode(loops, tables, &indexes, stream, log2_lanes);
        assert!(!matches!(decoded, Err(Error::InvalidArgument { .. })));
        assert_eq!(decoded.ok(), plain, "{loops}");
    }
    if let Some(symbols) = plain {
        assert_eq!(encode(Level::highest(), tables, &indexes, &symbols, log2_lanes), stream);
    }
    round_trip(tables, &indexes, stream, log2_lanes);
    if let Ok(mut decoder) = Decoder::new(stream, log2_lanes) {
        let (rows, columns) = (usize::from(count as u8 % 13), usize::from(shape % 11) + 1);
        match field::decode(&mut decoder, 2, rows, columns) {
            Ok(vectors) => assert_eq!(vectors.len(), 2 * rows * columns),
            Err(error) => assert!(matches!(error, Error::Corrupt { .. })),
        }
    }
}

/// Eight tables, the first `skip` of which are skipped.
fn tables(skip: u8) -> &'static Tables {
    static TABLES: LazyLock<Vec<Tables>> = LazyLock::new(|| (0..9).map(make_tables).collect());
    &TABLES[usize::from(skip)]
}

fn make_tables(skip: u8) -> Tables {
    let shapes: [&[u16]; 4] =
        [&[4095, 1], &[1, 4093, 1, 1], &[500, 3000, 500, 96], &[1, 40, 500, 2900, 500, 40, 1, 114]];
    let flat = [16; 256];
    let all: Vec<&[u16]> = shapes.into_iter().chain([&flat[..]; 4]).collect();
    let lengths: Vec<u16> = all.iter().map(|table| table.len() as u16).collect();
    Tables::new(&all.concat(), &lengths, skip).unwrap()
}

fn decode(
    loops: Loops,
    tables: &Tables,
    indexes: &[u8],
    stream: &[u8],
    log2_lanes: u8,
) -> Result<Vec<i16>> {
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
) -> Result<Vec<i16>> {
    let mut decoder = Decoder::new(stream, log2_lanes)?;
    decoder.begin_segment();
    let symbols = indexes.iter().map(|&index| Ok(decoder.get(tables, index)? as i16));
    let symbols = symbols.collect::<Result<_>>()?;
    decoder.finish()?;
    Ok(symbols)
}

fn encode(
    level: Level,
    tables: &Tables,
    indexes: &[u8],
    symbols: &[i16],
    log2_lanes: u8,
) -> Vec<u8> {
    let mut encoder = Encoder::with_level(level);
    encoder.put_slice(tables, indexes, symbols).unwrap();
    encoder.finish(Some(log2_lanes)).unwrap().1
}

/// Takes `data` for symbols.
fn round_trip(tables: &Tables, indexes: &[u8], data: &[u8], log2_lanes: u8) {
    let symbols: Vec<i16> = indexes
        .iter()
        .enumerate()
        .map(|(i, &index)| match data.get(i % data.len().max(1)) {
            Some(&byte) if index >= tables.skip() => match byte {
                0..=199 => i16::from(byte) % 5 - 2,
                200..=249 => i16::from(byte) - 225,
                _ => i16::from(byte) * 128 * if i % 2 == 0 { 1 } else { -1 },
            },
            _ => 0,
        })
        .collect();
    let mut streams = Level::available()
        .iter()
        .map(|&level| encode(level, tables, indexes, &symbols, log2_lanes));
    let stream = streams.next().unwrap();
    assert!(streams.all(|other| other == stream));
    let loops = Loops::available().last().unwrap();
    let decoded = decode(loops, tables, indexes, &stream, log2_lanes).unwrap();
    assert_eq!(decoded, symbols);
}

/// y4m: an error or frames of the size that the header says.
pub fn y4m(data: &[u8]) {
    let Ok(mut reader) = Reader::from_y4m(Box::new(Cursor::new(data.to_vec()))) else {
        return;
    };
    let sizes = reader.format().planes().map(|(height, width)| height * width);
    for _ in 0..100 {
        match reader.read() {
            Ok(Some(frame)) => {
                let planes = match &frame {
                    ui2c_core::yuv::Frame::Bits8(planes) => planes.each_ref().map(Vec::len),
                    ui2c_core::yuv::Frame::Bits16(planes) => planes.each_ref().map(Vec::len),
                };
                assert_eq!(planes, sizes);
            }
            Ok(None) => return,
            Err(error) => {
                assert!(matches!(error, Error::Corrupt { .. } | Error::Truncated { .. }));
                return;
            }
        }
    }
}
