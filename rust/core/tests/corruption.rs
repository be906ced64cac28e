//! Damaged and hostile streams: always a typed error, never silence, never much memory or time.

mod common;

use common::{coded, header, parse_all};
use proptest::prelude::*;
use ui2c_core::bitstream::{
    CodedUnit, Content, Limits, MAGIC, Parser, SYNC, SequenceHeader, Unit, VERSION, Writer, crc32c,
    index_at_end,
};
use ui2c_core::{Error, Result};

/// The pieces of a stream with two random-access points of four units each and every kind of unit
/// and of flag in it, in the order of writing.
fn pieces() -> Vec<Vec<u8>> {
    let mut writer = Writer::new(header()).unwrap();
    let mut pieces = vec![writer.start().unwrap(), writer.metadata("title", "small").unwrap()];
    for i in 0..8 {
        let mut unit = coded(i % 4 == 0, 10 + i);
        unit.feature_hash = (i == 3).then_some(0x0123_4567);
        unit.ticks = (i == 5).then(|| vec![1, 300]);
        unit.shown = if i == 7 { 1 } else { 2 };
        pieces.push(writer.unit(&unit, i == 4).unwrap());
    }
    pieces.push(writer.end(Some(7)).unwrap());
    pieces
}

fn parse(bytes: &[u8]) -> (Vec<Unit>, Result<()>) {
    parse_all(bytes, Limits::default())
}

/// A unit as the specification frames it; up to 127 bytes of payload.
fn unit(kind: u8, payload: &[u8]) -> Vec<u8> {
    let covered = [&[kind, payload.len() as u8], payload].concat();
    let checksum = crc32c(&covered, 0).to_le_bytes();
    [covered, checksum.to_vec()].concat()
}

/// A stream of the file header and these units.
fn stream(units: &[Vec<u8>]) -> Vec<u8> {
    [&MAGIC[..], &VERSION, &units.concat()].concat()
}

fn first_frame(unit: &Unit) -> Option<u64> {
    if let Content::Coded { frame, .. } = unit.content { Some(frame) } else { None }
}

fn header_payload() -> Vec<u8> {
    let start = Writer::new(header()).unwrap().start().unwrap();
    start[12..start.len() - 4].to_vec()
}

fn error_of(bytes: &[u8]) -> Error {
    parse(bytes).1.expect_err("must be refused")
}

fn is_corrupt(bytes: &[u8], what: &str) {
    match error_of(bytes) {
        Error::Corrupt { what: said, .. } => assert!(said.contains(what), "{said}"),
        other => panic!("{what}: {other}"),
    }
}

fn is_unsupported(bytes: &[u8], what: &str) {
    match error_of(bytes) {
        Error::Unsupported { what: said } => assert!(said.contains(what), "{said}"),
        other => panic!("{what}: {other}"),
    }
}

#[test]
fn every_truncation_is_noticed() {
    let pieces = pieces();
    let whole = pieces.concat();
    let (units, result) = parse(&whole);
    result.unwrap();
    let without_index = units.last().unwrap().offset as usize;
    for length in 0..whole.len() {
        let (some, result) = parse(&whole[..length]);
        assert_eq!(some, units[..some.len()]);
        match result {
            Ok(()) => assert_eq!(length, without_index, "the index may be missing"),
            Err(Error::Truncated { offset, .. }) => assert_eq!(offset, length as u64),
            Err(other) => panic!("{length}: {other}"),
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let whole = pieces().concat();
    let (units, _) = parse(&whole);
    for position in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[position / 8] ^= 1 << (position % 8);
        let (some, result) = parse(&bytes);
        let error = result.expect_err(&format!("bit {position}"));
        assert!(!matches!(error, Error::InvalidArgument { .. } | Error::Io(_)), "{error}");
        assert_eq!(some, units[..some.len()], "bit {position}");
    }
}

#[test]
fn deleted_doubled_and_swapped_pieces_are_noticed() {
    let pieces = pieces();
    for i in 0..pieces.len() {
        let mut changed = pieces.clone();
        changed.remove(i);
        assert!(parse(&changed.concat()).1.is_err(), "{i} deleted");
        let mut changed = pieces.clone();
        changed.insert(i, pieces[i].clone());
        assert!(parse(&changed.concat()).1.is_err(), "{i} doubled");
        for j in 0..i {
            let mut changed = pieces.clone();
            changed.swap(i, j);
            assert!(parse(&changed.concat()).1.is_err(), "{i} and {j} swapped");
        }
    }
    let halves = [&pieces[..2], &pieces[6..10], &pieces[2..6], &pieces[10..]].concat();
    assert!(parse(&halves.concat()).1.is_err(), "both random-access points swapped");
}

#[test]
fn nothing_may_follow() {
    let whole = pieces().concat();
    is_corrupt(&[&whole[..], &[0]].concat(), "after the index");
    is_corrupt(&[&whole[..], &whole].concat(), "after the index");
    let (units, _) = parse(&whole);
    let without_index = &whole[..units.last().unwrap().offset as usize];
    is_corrupt(&[without_index, &[0]].concat(), "after the end unit");
    is_corrupt(&[without_index, &whole].concat(), "after the end unit");
}

#[test]
fn units_must_be_in_place() {
    let head = unit(1, &header_payload());
    let intra = [&SYNC[..], &unit(2, &[20, 0, 0, 0])].concat();
    let inter = unit(3, &[20, 1 << 3]);
    let end = |frames, units| unit(4, &[frames, units]);
    let metadata = unit(0x86, b"k\0v");
    let s = |units: &[&Vec<u8>]| stream(&units.iter().map(|&u| u.clone()).collect::<Vec<_>>());
    assert!(parse(&s(&[&head, &intra, &inter, &metadata, &end(4, 2)])).1.is_ok());
    is_corrupt(&s(&[&intra]), "random-access unit where");
    is_corrupt(&s(&[&metadata]), "metadata where");
    is_corrupt(&s(&[&unit(0x87, &[])]), "unit where");
    is_corrupt(&s(&[&end(0, 0)]), "end unit where");
    is_corrupt(&s(&[&head, &head]), "sequence header where");
    is_corrupt(&s(&[&head, &inter]), "inter unit where");
    is_corrupt(&s(&[&head, &unit(2, &[20, 0])]), "random-access unit where");
    is_corrupt(&s(&[&head, &SYNC.to_vec(), &inter]), "inter unit where");
    is_corrupt(&s(&[&head, &SYNC.to_vec(), &end(0, 0)]), "end unit where");
    is_corrupt(&s(&[&head, &SYNC.to_vec(), &metadata]), "metadata where");
    is_corrupt(&s(&[&head, &SYNC.to_vec(), &head, &inter]), "inter unit where");
    is_corrupt(&s(&[&head, &SYNC.to_vec(), &head, &intra]), "random-access unit where");
    is_corrupt(&s(&[&head, &unit(0x85, &[10, 0, 0, 0])]), "index where");
    is_corrupt(&s(&[&head, &intra, &end(3, 1)]), "counts");
    is_corrupt(&s(&[&head, &intra, &end(2, 2)]), "counts");
    is_corrupt(&s(&[&head, &intra, &unit(3, &[20, 2 << 3])]), "lost or swapped");
    let mut other = header_payload();
    other[2] += 1;
    is_corrupt(&s(&[&head, &SYNC.to_vec(), &unit(1, &other)]), "differs");
}

#[test]
fn unknown_units_are_skipped_or_refused() {
    let head = unit(1, &header_payload());
    let (units, result) = parse(&stream(&[head.clone(), unit(0xff, b"?"), unit(4, &[0, 0])]));
    result.unwrap();
    assert_eq!(units[1].content, Content::Unknown);
    assert_eq!(units[1].size, 7);
    for kind in [0, 5, 6, 7] {
        is_unsupported(&stream(&[head.clone(), unit(kind, b"?")]), "kind");
    }
    for kind in [1 | 8, 1 | 64] {
        is_unsupported(&stream(&[unit(kind, &header_payload())]), "flags");
    }
    for kind in [2 | 64, 3 | 64, 4 | 16, 4 | 32, 0x86 | 8] {
        let intra = [&SYNC[..], &unit(2, &[20, 0, 0])].concat();
        let sync = if kind & 7 == 2 { SYNC.to_vec() } else { vec![] };
        let units = [head.clone(), intra, sync, unit(kind, &[20, 8, 2, 0, 0, 0, 0, 0])];
        is_unsupported(&stream(&units), "flags");
    }
}

#[test]
fn payloads_must_be_possible() {
    let head = unit(1, &header_payload());
    let intra = |payload: &[u8]| [&SYNC[..], &unit(2, payload)].concat();
    let refused = |last: Vec<u8>, what: &str| is_corrupt(&stream(&[head.clone(), last]), what);
    refused(intra(&[20]), "shorter");
    refused(intra(&[20, 0]), "shorter");
    refused(intra(&[20 | 64, 0, 0]), "motion");
    refused(intra(&[20, 7, 0]), "lanes");
    refused([&SYNC[..], &unit(2 | 8, &[20, 0, 0, 1, 2, 3])].concat(), "shorter");
    refused([&SYNC[..], &unit(2 | 32, &[20, 0, 0, 1])].concat(), "shorter");
    refused([&SYNC[..], &unit(2 | 32, &[20, 0, 0, 0x80, 0, 1])].concat(), "longer than");
    let past_32_bits = [20, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x10, 1];
    refused([&SYNC[..], &unit(2 | 32, &past_32_bits)].concat(), "out of range");
    refused(unit(4, &[0]), "shorter");
    refused(unit(4, &[0, 0, 0]), "too many");
    refused(unit(0x86, b"no key"), "key");
    refused(unit(0x86, b"\0value"), "key");
    refused(unit(0x86, b"\xff\0value"), "UTF-8");
    refused(vec![0x87, 0x80, 0], "longer than");
    refused(vec![0x87, 0x80, 0x80, 0x80, 0x80, 0x10], "unit of 4294967296 bytes");
    refused([vec![0x87], vec![0xff; 9]].concat(), "too long");
}

#[test]
fn hidden_frames_and_timing_must_fit_the_header() {
    let single = SequenceHeader { frames_per_unit: 1, frame_ticks: 0, ..header() };
    let start = Writer::new(single).unwrap().start().unwrap();
    let with = |kind, payload: &[u8]| [&start[..], &SYNC, &unit(kind, payload)].concat();
    is_corrupt(&with(2 | 16 | 32, &[20, 0, 0, 0]), "shows no frame");
    is_corrupt(&with(2, &[20, 0, 0]), "timing");
}

#[test]
fn headers_must_be_possible() {
    let payload = header_payload();
    // major minor width(2) height(2) depth chroma primaries transfer matrix range ...
    assert_eq!(&payload[..8], [1, 0, 0xb0, 1, 0x90, 1, 8, 1]);
    let with = |at: usize, value: u8| {
        let mut payload = payload.clone();
        payload[at] = value;
        stream(&[unit(1, &payload), unit(4, &[0, 0])])
    };
    assert!(parse(&with(8, 77)).1.is_ok(), "any colour");
    is_unsupported(&with(0, 2), "format 2.0");
    is_corrupt(&with(1, 1), "minor version");
    is_corrupt(&with(3, 0), "longer than");
    let no_width = [&payload[..2], &[0], &payload[4..]].concat();
    is_corrupt(&stream(&[unit(1, &no_width)]), "width");
    is_corrupt(&with(6, 7), "bit_depth");
    is_corrupt(&with(6, 17), "bit_depth");
    is_unsupported(&with(7, 2), "chroma");
    is_corrupt(&with(11, 2), "range");
    is_corrupt(&with(12, 0), "timebase");
    is_corrupt(&with(13, 0), "timebase");
    is_corrupt(&with(15, 0), "sample_aspect");
    is_corrupt(&with(17, 0), "frames_per_unit");
    is_corrupt(&with(17, 3), "frames_per_unit");
    is_corrupt(&stream(&[unit(1, &payload[..25])]), "shorter");
    is_corrupt(&stream(&[unit(1, &[&payload[..], &[0]].concat())]), "too many");
}

#[test]
fn versions_are_told_apart() {
    let with = |version: [u8; 2], payload: &[u8]| {
        [&MAGIC[..], &version, &unit(1, payload), &unit(4, &[0, 0])].concat()
    };
    let mut later = header_payload();
    later[1] = 3;
    later.extend(b"more fields");
    let (units, result) = parse(&with([1, 3], &later));
    result.unwrap();
    assert_eq!(units[0].content, Content::Sequence(header()));
    is_unsupported(&with([2, 0], &header_payload()), "format 2.0");
    is_corrupt(&with([1, 1], &header_payload()), "minor version");
    is_corrupt(b"\x89PNG\r\n\x1a\n", "not a ui2c stream");
    is_corrupt(b"\x8bUI2C\n\x1a", "not a ui2c stream");
    is_corrupt(b"x", "not a ui2c stream");
}

#[test]
fn limits_hold() {
    let whole = pieces().concat();
    let is_limit = |limits: Limits, what: &str| match parse_all(&whole, limits).1 {
        Err(Error::Limit { what: said }) => assert!(said.contains(what), "{said}"),
        other => panic!("{what}: {other:?}"),
    };
    let memory = 176 * 144 * 3 / 2 * 3;
    let exact = Limits {
        max_pixels: 176 * 144,
        max_unit_bytes: 27,
        max_frames: 15,
        max_memory: memory,
        max_work: 0,
    };
    parse_all(&whole, exact).1.unwrap();
    is_limit(Limits { max_pixels: 176 * 144 - 1, ..exact }, "pixels");
    is_limit(Limits { max_unit_bytes: 25, ..exact }, "bytes");
    is_limit(Limits { max_frames: 14, ..exact }, "frames");
    is_limit(Limits { max_memory: memory - 1, ..exact }, "pictures of 176 x 144 take 114048 bytes");
    is_limit(Limits { max_memory: 20, ..exact }, "unit of 26 bytes");
    // The coded size counts.
    let odd = SequenceHeader { width: 161, height: 129, ..header() };
    let start = Writer::new(odd).unwrap().start().unwrap();
    assert!(matches!(
        parse_all(&start, Limits { max_pixels: 176 * 144 - 1, ..exact }).1,
        Err(Error::Limit { .. })
    ));
}

#[test]
fn errors_stay_until_resync() {
    let mut whole = pieces().concat();
    let (units, _) = parse(&whole);
    whole[units[3].offset as usize + 4] ^= 1;
    let mut parser = Parser::new(Limits::default());
    parser.feed(&whole).unwrap();
    for unit in &units[..3] {
        assert_eq!(parser.next_unit().unwrap().as_ref(), Some(unit));
    }
    for _ in 0..20 {
        let error = parser.next_unit().unwrap_err();
        assert!(matches!(error, Error::Corrupt { offset, .. } if offset == units[3].offset));
    }
    assert!(parser.resync());
    assert_eq!(parser.next_unit().unwrap().as_ref(), Some(&units[6]), "the repeated header");
}

/// What is read of a damaged stream: units, and errors in between.
fn parse_on(bytes: &[u8], size: usize) -> (Vec<Unit>, usize) {
    let mut parser = Parser::new(Limits::default());
    let mut units = Vec::new();
    let mut errors = 0;
    let mut chunks = bytes.chunks(size);
    loop {
        match parser.next_unit() {
            Ok(Some(unit)) => units.push(unit),
            Ok(None) => match chunks.next() {
                Some(chunk) => parser.feed(chunk).unwrap(),
                None if errors > 0 || units.len() == 13 => return (units, errors),
                None => parser.close(),
            },
            Err(_) => {
                errors += 1;
                if !parser.resync() && chunks.len() == 0 {
                    parser.close();
                    if !parser.resync() {
                        return (units, errors);
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn reading_goes_on_behind_damage(at in any::<prop::sample::Index>(), byte: u8,
                                     size in 1usize..200) {
        let mut bytes = pieces().concat();
        let (units, _) = parse(&bytes);
        let at = 10 + at.index(units[6].offset as usize - 10);
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let (read, errors) = parse_on(&bytes, size);
        prop_assert_eq!(errors, 1);
        prop_assert!(read.ends_with(&units[6..]), "{:?}", read);
    }

    #[test]
    fn insertions_and_deletions_are_survived(at in any::<prop::sample::Index>(),
                                             count in 1usize..40, insert: bool,
                                             size in 1usize..200) {
        let mut bytes = pieces().concat();
        let (units, _) = parse(&bytes);
        let second = units[6].offset as usize;
        let at = 10 + at.index(second - 10);
        let count = if insert { count } else { count.min(second - at) };
        let moved = if insert {
            bytes.splice(at..at, vec![0x55; count]);
            count as i64
        } else {
            bytes.drain(at..at + count);
            -(count as i64)
        };
        let (read, errors) = parse_on(&bytes, size);
        prop_assert!(errors > 0);
        let expected: Vec<_> = units[6..].iter().take(5).map(|unit| unit.content.clone()).collect();
        let found: Vec<_> = read
            .iter()
            .skip_while(|unit| unit.offset as i64 != units[6].offset as i64 + moved)
            .take(5)
            .map(|unit| unit.content.clone())
            .collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_stream_without_its_beginning_needs_a_repeated_header() {
    let whole = pieces().concat();
    let (units, _) = parse(&whole);
    let mut parser = Parser::new(Limits::default());
    parser.feed(&whole[10..]).unwrap();
    assert!(parser.next_unit().is_err());
    assert!(parser.resync());
    // The first random-access unit has no header before it, the second has.
    assert_eq!(parser.next_unit().unwrap().unwrap().content, Content::Sequence(header()));
    let mut rest = 0;
    while parser.next_unit().unwrap().is_some() {
        rest += 1;
    }
    assert_eq!(rest, units[7..].len());
}

#[test]
fn nothing_to_resync_to() {
    let mut parser = Parser::new(Limits::default());
    assert!(!parser.resync());
    parser.feed(&[1; 1000]).unwrap();
    assert!(!parser.resync());
    assert!(parser.next_unit().unwrap().is_none(), "still looking");
    parser.close();
    assert!(matches!(parser.next_unit(), Err(Error::Truncated { .. })));
    assert!(!parser.resync());

    let mut parser = Parser::new(Limits::default());
    parser.feed(&[pieces().concat(), pieces().concat()].concat()).unwrap();
    while let Ok(Some(_)) = parser.next_unit() {}
    assert!(!parser.resync(), "a second sequence is no continuation");
}

#[test]
fn overlapping_units_do_not_cost_quadratic_time() {
    // Each of these claims half a megabyte that is there, with a wrong checksum.
    let claim = [&SYNC[..], &[2, 0x80, 0x80, 0x20]].concat();
    let mut parser = Parser::new(Limits::default());
    parser.feed(&claim.repeat(1 << 17)).unwrap();
    parser.close();
    assert!(parser.next_unit().is_err());
    assert!(!parser.resync());
}

#[test]
fn a_broken_index_at_the_end_is_not_used() {
    let whole = pieces().concat();
    let end = whole.len() as u64;
    assert_eq!(index_at_end(&whole, end, &Limits::default()).unwrap().unwrap().len(), 2);
    for length in 0..whole.len() {
        assert_eq!(
            index_at_end(&whole[..length], length as u64, &Limits::default()).unwrap(),
            None,
            "{length}"
        );
    }
    let (units, _) = parse(&whole);
    for position in units.last().unwrap().offset as usize * 8..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[position / 8] ^= 1 << (position % 8);
        assert_eq!(index_at_end(&bytes, end, &Limits::default()).unwrap(), None, "bit {position}");
    }
    assert_eq!(
        index_at_end(&whole, 3, &Limits::default()).unwrap(),
        None,
        "a stream smaller than its index"
    );
    // Entries that overlap would need more memory than there are bytes.
    let crowded = unit(0x85, &[11, 0, 11, 0, 14, 0, 0, 0]);
    assert!(index_at_end(&crowded, 14, &Limits::default()).is_err());
    let wrong_size = unit(0x85, &[12, 0, 0, 0]);
    assert_eq!(index_at_end(&wrong_size, 14, &Limits::default()).unwrap(), None);
    let backwards = unit(0x85, &[100, 0, 12, 0, 0, 0]);
    assert!(index_at_end(&backwards, 12, &Limits::default()).is_err());
}

#[test]
fn long_sequences_of_any_rhythm_are_read() {
    let mut writer = Writer::new(header()).unwrap();
    let mut bytes = writer.start().unwrap();
    for i in 0..100 {
        let unit = CodedUnit { shown: 1 + i % 2, ..coded(i % 41 == 0, 20) };
        bytes.extend(writer.unit(&unit, false).unwrap());
    }
    bytes.extend(writer.end(None).unwrap());
    parse(&bytes).1.unwrap();
}

#[test]
fn up_to_31_lost_units_are_noticed_at_once() {
    let mut writer = Writer::new(header()).unwrap();
    let start = writer.start().unwrap();
    let mut piece = |i| writer.unit(&coded(i == 0, 20), false).unwrap();
    let units: Vec<Vec<u8>> = (0..40).map(&mut piece).collect();
    for lost in 1..=32 {
        let lossy = [&start[..], &units[..3].concat(), &units[3 + lost]].concat();
        if lost < 32 {
            is_corrupt(&lossy, "lost or swapped");
        } else {
            // The end unit tells.
            assert!(matches!(error_of(&lossy), Error::Truncated { .. }));
        }
    }
}

#[test]
fn random_access_units_tell_how_many_frames_are_lost() {
    let pieces = pieces();
    // Two of the first four units: the second random-access unit still knows its frame.
    let lossy = [&pieces[..4], &pieces[6..]].concat().concat();
    let (units, _) = parse(&lossy);
    let frames: Vec<u64> = units.iter().filter_map(first_frame).collect();
    assert_eq!(frames, [0, 2, 8, 10, 12, 14]);
    // The end unit counts all units; after its protest it can be had all the same.
    is_corrupt(&lossy, "end unit counts 15 frames in 8 units");
    let mut parser = Parser::new(Limits::default());
    parser.feed(&lossy).unwrap();
    for _ in &units {
        parser.next_unit().unwrap().unwrap();
    }
    parser.next_unit().unwrap_err();
    assert!(parser.resync());
    assert!(matches!(parser.next_unit().unwrap().unwrap().content, Content::End(_)));
    assert!(matches!(parser.next_unit().unwrap().unwrap().content, Content::Index(_)));
    // One that comes again or too early is refused.
    let doubled = [&pieces[..], &pieces[2..]].concat();
    let without_end = [&doubled[..10], &doubled[11..]].concat().concat();
    is_corrupt(&without_end, "lost or swapped");
}
