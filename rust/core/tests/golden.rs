//! The golden files of format 1.0: what they decode to, and that they are still written like this.

mod threads;

use std::fs;
use std::path::Path;

use rayon::prelude::*;
use threads::with_threads;
use ui2c_core::bitstream::{CodedUnit, Content, Limits, Parser, Writer};
use ui2c_core::cpu::Level;
use ui2c_core::motion::field;
use ui2c_core::rans::{Decoder, Encoder, Loops, Tables};

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    fs::read(folder.join(name)).unwrap()
}

fn words(name: &str) -> Vec<u16> {
    read(name).as_chunks().0.iter().map(|&word| u16::from_le_bytes(word)).collect()
}

fn tables() -> Tables {
    let all = words("coder.tables");
    let [count, skip, ref rest @ ..] = all[..] else { panic!("no tables") };
    let (lengths, frequencies) = rest.split_at(count.into());
    Tables::new(frequencies, lengths, skip as u8).unwrap()
}

/// A unit of the golden stream, with what it is coded with and decodes to.
struct Unit {
    coded: CodedUnit,
    indexes: Vec<u8>,
    symbols: Vec<i16>,
}

/// The contents of the golden stream, and its units.
fn contents() -> (Vec<Content>, Vec<Unit>) {
    let mut parser = Parser::new(Limits::default());
    parser.feed(&read("coder.ui2c")).unwrap();
    parser.close();
    let contents: Vec<Content> =
        std::iter::from_fn(|| parser.next_unit().unwrap()).map(|unit| unit.content).collect();
    let counts = contents.iter().find_map(|content| match content {
        Content::Metadata { key, value } if key == "counts" => Some(value.split(' ')),
        _ => None,
    });
    let (indexes, symbols) = (read("coder.indexes"), words("coder.symbols"));
    let (mut indexes, mut symbols) = (indexes.into_iter(), symbols.into_iter().map(|s| s as i16));
    let coded = contents.iter().filter_map(|content| match content {
        Content::Coded { unit, .. } => Some(unit.clone()),
        _ => None,
    });
    let units = coded.zip(counts.unwrap()).map(|(coded, count)| {
        let count = count.parse().unwrap();
        Unit {
            coded,
            indexes: indexes.by_ref().take(count).collect(),
            symbols: symbols.by_ref().take(count).collect(),
        }
    });
    let units: Vec<Unit> = units.collect();
    assert_eq!((units.len(), indexes.len(), symbols.len()), (8, 0, 0));
    (contents, units)
}

#[test]
fn symbols_are_as_ever_at_every_level() {
    let tables = tables();
    for loops in Loops::available() {
        for unit in contents().1 {
            let mut decoder = Decoder::new(unit.coded.stream, unit.coded.log2_lanes).unwrap();
            decoder.set_loops(loops);
            let mut symbols = vec![0; unit.indexes.len()];
            decoder.get_slice(&tables, &unit.indexes, &mut symbols).unwrap();
            decoder.finish().unwrap();
            assert!(symbols == unit.symbols, "{loops}, {} lanes", 1 << unit.coded.log2_lanes);
        }
    }
}

#[test]
fn bytes_are_as_ever_at_every_level_and_number_of_threads() {
    let (tables, (contents, units)) = (tables(), contents());
    let golden = read("coder.ui2c");
    for threads in [1, 2, 8] {
        for &level in Level::available() {
            let encode = |(number, unit): (usize, &Unit)| {
                let mut encoder = Encoder::with_level(level);
                encoder.put_slice(&tables, &unit.indexes, &unit.symbols).unwrap();
                let lanes = (number < 7).then_some(number as u8);
                encoder.finish(lanes).unwrap()
            };
            let streams: Vec<_> =
                with_threads(threads, || units.par_iter().enumerate().map(encode).collect());
            assert!(write(&contents, &streams) == golden, "{threads} threads at {level}");
        }
    }
}

/// The stream of these contents, those of its units encoded anew.
fn write(contents: &[Content], streams: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let Content::Sequence(header) = &contents[0] else { panic!("no header") };
    let mut writer = Writer::new(header.clone()).unwrap();
    let mut bytes = writer.start().unwrap();
    let mut streams = streams.iter().cloned();
    for (i, content) in contents.iter().enumerate() {
        bytes.extend(match content {
            Content::Metadata { key, value } => writer.metadata(key, value).unwrap(),
            Content::Coded { unit, .. } => {
                let repeated = i > 1 && matches!(contents[i - 1], Content::Sequence(_));
                let (log2_lanes, stream) = streams.next().unwrap();
                writer.unit(&CodedUnit { log2_lanes, stream, ..unit.clone() }, repeated).unwrap()
            }
            Content::End(end) => writer.end(end.feature_hash).unwrap(),
            _ => vec![],
        });
    }
    bytes
}

#[test]
fn motion_is_as_ever() {
    let components = words("motion.vectors");
    let vectors: Vec<[i16; 2]> =
        components.as_chunks().0.iter().map(|v| v.map(|component| component as i16)).collect();
    let stream = read("motion.stream");
    let mut decoder = Decoder::new(&stream[..], 0).unwrap();
    assert_eq!(field::decode(&mut decoder, 2, 9, 11).unwrap(), vectors);
    decoder.finish().unwrap();
    let mut encoder = Encoder::new();
    field::encode(&mut encoder, 2, 11, &vectors).unwrap();
    assert_eq!(encoder.finish(Some(0)).unwrap().1, stream);
}
