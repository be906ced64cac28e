//! The container: every unit that is written is read, in whatever pieces the bytes come.

mod common;

use common::{coded, header, parse_all};
use proptest::prelude::*;
use ui2c_core::Error;
use ui2c_core::bitstream::{
    CodedUnit, Content, End, Entry, Limits, Parser, SYNC, SequenceHeader, Unit, Writer, crc32c,
    index_at_end,
};

fn headers() -> impl Strategy<Value = SequenceHeader> {
    let fraction = || (1..=u32::MAX, 1..=u32::MAX);
    let picture = (1..=65535u32, 1..=65535u32, 8..=16u8, any::<[u8; 3]>(), any::<bool>());
    let time = (fraction(), any::<u32>(), fraction(), 1..=2u8);
    (picture, time, any::<[u8; 8]>()).prop_map(|(picture, time, model_id)| {
        let (width, height, bit_depth, [color_primaries, transfer, matrix], full_range) = picture;
        let (timebase, frame_ticks, sample_aspect, frames_per_unit) = time;
        SequenceHeader {
            width,
            height,
            bit_depth,
            color_primaries,
            transfer,
            matrix,
            full_range,
            timebase,
            frame_ticks,
            sample_aspect,
            frames_per_unit,
            model_id,
        }
    })
}

/// What the writer is told to write after the header.
#[derive(Clone, Debug)]
enum Piece {
    Metadata(String, String),
    Coded(CodedUnit, bool),
}

fn piece(header: SequenceHeader) -> impl Strategy<Value = Piece> {
    let step = prop::sample::select(vec![0u8, 16, 32, 64]);
    let fields = (any::<bool>(), 0..64u8, step, 0..=6u8, 1..=header.frames_per_unit);
    let hash = prop::option::of(any::<u32>());
    let ticks = (any::<bool>(), any::<[u32; 2]>());
    let stream = prop::collection::vec(any::<u8>(), 0..300);
    let coded = (fields, hash, ticks, stream, any::<bool>()).prop_map(
        move |(fields, feature_hash, (timed, ticks), stream, repeat)| {
            let (intra, qp, step, log2_lanes, shown) = fields;
            let timed = timed || header.frame_ticks == 0;
            let motion_step = if intra { 0 } else { step };
            let ticks = timed.then(|| ticks[..usize::from(shown)].to_vec());
            Piece::Coded(
                CodedUnit {
                    intra,
                    qp,
                    motion_step,
                    log2_lanes,
                    shown,
                    feature_hash,
                    ticks,
                    stream,
                },
                repeat && intra,
            )
        },
    );
    let text = "[^\x00]{1,20}";
    prop_oneof![5 => coded, 1 => (text, ".{0,20}").prop_map(|(k, v)| Piece::Metadata(k, v))]
}

fn plans() -> impl Strategy<Value = (SequenceHeader, Vec<Piece>, Option<u32>)> {
    headers().prop_flat_map(|header| {
        let pieces = prop::collection::vec(piece(header.clone()), 0..20);
        (Just(header), pieces, prop::option::of(any::<u32>()))
    })
}

/// The stream, and the units that it must be read as.
fn write(header: &SequenceHeader, pieces: &[Piece], hash: Option<u32>) -> (Vec<u8>, Vec<Content>) {
    let mut writer = Writer::new(header.clone()).unwrap();
    let mut bytes = writer.start().unwrap();
    let mut contents = vec![Content::Sequence(header.clone())];
    let mut index = Vec::new();
    let (mut frames, mut units) = (0, 0);
    for piece in pieces {
        match piece {
            Piece::Metadata(key, value) => {
                bytes.extend(writer.metadata(key, value).unwrap());
                contents.push(Content::Metadata { key: key.clone(), value: value.clone() });
            }
            Piece::Coded(unit, repeat) => {
                let mut unit = unit.clone();
                if units == 0 {
                    unit.intra = true;
                    unit.motion_step = 0;
                }
                if unit.intra {
                    index.push(Entry { offset: bytes.len() as u64, frame: frames });
                }
                bytes.extend(writer.unit(&unit, *repeat).unwrap());
                if *repeat {
                    contents.push(Content::Sequence(header.clone()));
                }
                let first = frames;
                frames += u64::from(unit.shown);
                units += 1;
                contents.push(Content::Coded { frame: first, unit });
            }
        }
    }
    bytes.extend(writer.end(hash).unwrap());
    contents.push(Content::End(End { frames, units, feature_hash: hash }));
    contents.push(Content::Index(index));
    (bytes, contents)
}

const EVERYTHING: Limits = Limits {
    max_pixels: u64::MAX,
    max_unit_bytes: u64::MAX,
    max_frames: u64::MAX,
    max_memory: u64::MAX,
    max_work: u64::MAX,
};

/// Feeds pieces of these sizes, over and over.
fn parse_in_pieces(bytes: &[u8], sizes: &[usize]) -> Vec<Unit> {
    let mut parser = Parser::new(EVERYTHING);
    let mut units = Vec::new();
    let mut rest = bytes;
    for &size in sizes.iter().cycle() {
        let (piece, others) = rest.split_at(size.min(rest.len()));
        parser.feed(piece).unwrap();
        rest = others;
        while let Some(unit) = parser.next_unit().unwrap() {
            units.push(unit);
        }
        if rest.is_empty() {
            break;
        }
    }
    parser.close();
    assert_eq!(parser.next_unit().unwrap(), None);
    units
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn round_trip((header, pieces, hash) in plans(),
                  sizes in prop::collection::vec(1usize..80, 1..10)) {
        let (bytes, contents) = write(&header, &pieces, hash);
        let units = parse_in_pieces(&bytes, &sizes);
        // Units lie side by side from the end of the file header to the end.
        let mut offset = 10;
        for unit in &units {
            prop_assert_eq!(unit.offset, offset);
            offset += unit.size;
        }
        prop_assert_eq!(offset, bytes.len() as u64);
        let read: Vec<Content> = units.into_iter().map(|unit| unit.content).collect();
        prop_assert_eq!(&read, &contents);

        let tail = &bytes[bytes.len().saturating_sub(400)..];
        let found = index_at_end(tail, bytes.len() as u64, &Limits::default()).unwrap();
        prop_assert_eq!(&found.map(Content::Index), &contents.last().cloned());
    }

    #[test]
    fn every_entry_of_the_index_can_be_jumped_to((header, pieces, hash) in plans()) {
        let (bytes, contents) = write(&header, &pieces, hash);
        let Some(Content::Index(entries)) = contents.last() else { unreachable!() };
        let mut parser = Parser::new(EVERYTHING);
        parser.feed(&bytes).unwrap();
        parser.next_unit().unwrap();
        for entry in entries.iter().rev() {
            parser.seek(entry.offset).unwrap();
            parser.feed(&bytes[entry.offset as usize..]).unwrap();
            parser.close();
            let first = parser.next_unit().unwrap().unwrap();
            prop_assert_eq!(first.offset, entry.offset);
            let mut next = entry.frame;
            let mut unit = Some(first);
            while let Some(content) = unit.map(|unit| unit.content) {
                match content {
                    Content::Coded { frame, unit } => {
                        prop_assert_eq!(frame, next);
                        next += u64::from(unit.shown);
                    }
                    Content::End(end) => prop_assert_eq!(end.frames, next),
                    _ => {}
                }
                unit = parser.next_unit().unwrap();
            }
        }
    }

    #[test]
    fn checksum_is_the_division_it_is_defined_by(data in prop::collection::vec(any::<u8>(), 0..70),
                                                 initial: u32) {
        let mut register = !initial;
        for bit in (0..data.len() * 8).map(|i| u32::from(data[i / 8] >> (i % 8) & 1)) {
            let odd = (register ^ bit) & 1 == 1;
            register = register >> 1 ^ if odd { 0x82f6_3b78 } else { 0 };
        }
        prop_assert_eq!(crc32c(&data, initial), !register);
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), whole: bool) {
        let start = Writer::new(header()).unwrap().start().unwrap();
        let bytes = if whole { bytes } else { [start, bytes].concat() };
        prop_assert!(parse_all(&bytes, Limits::default()).1.is_err());
    }
}

#[test]
fn checksum_is_crc32c() {
    assert_eq!(crc32c(b"", 0), 0);
    assert_eq!(crc32c(b"123456789", 0), 0xe306_9283);
    assert_eq!(crc32c(b"6789", crc32c(b"12345", 0)), 0xe306_9283);
    assert_eq!(crc32c(&[0; 32], 0), 0x8a91_36aa);
    assert_eq!(crc32c(&[255; 32], 0), 0x62a8_ab43);
}

#[test]
fn an_empty_sequence_is_valid() {
    let (bytes, contents) = write(&header(), &[], None);
    let (units, result) = parse_all(&bytes, Limits::default());
    result.unwrap();
    assert_eq!(units.into_iter().map(|unit| unit.content).collect::<Vec<_>>(), contents);
    assert_eq!(index_at_end(&bytes, bytes.len() as u64, &Limits::default()).unwrap(), Some(vec![]));
}

#[test]
fn framing_takes_at_most_eight_bytes() {
    let mut writer = Writer::new(header()).unwrap();
    writer.start().unwrap();
    writer.unit(&coded(true, 0), false).unwrap();
    for size in [0, 1, 125, 126, 16_381, 16_382, 2_000_000] {
        let unit = CodedUnit { stream: vec![0; size], ..coded(false, 0) };
        // Two bytes of the payload are the unit's own fields.
        assert!(writer.unit(&unit, false).unwrap().len() <= size + 2 + 8);
    }
}

fn is_invalid<T: std::fmt::Debug>(result: ui2c_core::Result<T>, name: &str) {
    match result {
        Err(Error::InvalidArgument { what }) => assert!(what.contains(name), "{what}"),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn the_writer_checks_headers() {
    let with = |change: fn(&mut SequenceHeader)| {
        let mut header = header();
        change(&mut header);
        Writer::new(header).map(|_| ())
    };
    is_invalid(with(|h| h.width = 0), "width");
    is_invalid(with(|h| h.height = 65536), "height");
    is_invalid(with(|h| h.bit_depth = 7), "bit_depth");
    is_invalid(with(|h| h.bit_depth = 17), "bit_depth");
    is_invalid(with(|h| h.timebase = (0, 1)), "timebase");
    is_invalid(with(|h| h.sample_aspect = (1, 0)), "sample_aspect");
    is_invalid(with(|h| h.frames_per_unit = 3), "frames_per_unit");
    is_invalid(with(|h| h.frames_per_unit = 0), "frames_per_unit");
}

#[test]
fn the_writer_checks_coded_units() {
    let mut writer = Writer::new(SequenceHeader { frame_ticks: 0, ..header() }).unwrap();
    let timed = |intra| CodedUnit { ticks: Some(vec![0, 1]), ..coded(intra, 9) };
    is_invalid(writer.unit(&timed(true), false), "started");
    is_invalid(writer.end(None), "started");
    writer.start().unwrap();
    is_invalid(writer.start(), "started");
    is_invalid(writer.metadata("", "value"), "key");
    is_invalid(writer.metadata("k\0", "value"), "key");
    is_invalid(writer.unit(&timed(false), false), "intra");
    let mut refused = |change: fn(&mut CodedUnit), name| {
        let mut unit = timed(true);
        change(&mut unit);
        is_invalid(writer.unit(&unit, false), name);
    };
    refused(|u| u.qp = 64, "qp");
    refused(|u| u.log2_lanes = 7, "log2_lanes");
    refused(|u| u.motion_step = 16, "motion_step");
    refused(|u| u.shown = 0, "shown");
    refused(|u| u.shown = 3, "shown");
    refused(|u| u.ticks = Some(vec![1]), "ticks");
    refused(|u| u.ticks = None, "ticks");
    writer.unit(&timed(true), true).unwrap();
    is_invalid(writer.unit(&timed(false), true), "repeat_header");
    is_invalid(writer.unit(&CodedUnit { motion_step: 48, ..timed(false) }, false), "motion_step");
    writer.unit(&timed(false), false).unwrap();
    writer.end(None).unwrap();
    is_invalid(writer.end(None), "ended");
    is_invalid(writer.unit(&timed(true), false), "ended");
    is_invalid(writer.metadata("key", "value"), "ended");
}

#[test]
fn sync_words_stand_before_random_access_units_only() {
    let mut writer = Writer::new(header()).unwrap();
    writer.start().unwrap();
    assert!(writer.unit(&coded(true, 1), false).unwrap().starts_with(&SYNC));
    assert!(!writer.unit(&coded(false, 1), false).unwrap().starts_with(&SYNC));
    assert!(writer.unit(&coded(true, 1), true).unwrap().starts_with(&SYNC));
}

#[test]
fn feeding_after_close_is_refused() {
    let mut parser = Parser::new(Limits::default());
    parser.close();
    is_invalid(parser.feed(&[0]), "close");
    is_invalid(parser.seek(1 << 62), "offset");
}
