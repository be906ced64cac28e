//! Whole streams: the goldens, and what is left of them after damage.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use ui2c_core::bitstream::{CodedUnit, Content, Limits, Parser, SequenceHeader, Writer};
use ui2c_core::decoder::{Decoder, Engines, Frame, Native, Options, Shared};
use ui2c_core::model::Model;
use ui2c_core::network::Loops;
use ui2c_core::unit::Samples;
use ui2c_core::yuv::{self, Reader};
use ui2c_core::{Error, Result};

fn golden(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../tests/golden", name].iter().collect()
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(golden(name)).unwrap()
}

/// One model, on so many threads.
struct Given(Arc<Model>, usize);

impl Engines for Given {
    type Engine = Native;

    fn find(&mut self, header: &SequenceHeader) -> Result<Native> {
        assert_eq!(header.model_id, self.0.id());
        Ok(Native::new(Arc::clone(&self.0), Some(self.1)))
    }
}

fn model() -> Arc<Model> {
    Arc::new(Model::new(&bytes("nano.safetensors"), Loops::chosen()).unwrap())
}

/// The frames up to an error, with pieces of so many bytes fed at a time.
fn decode(decoder: &mut Decoder<Given>, stream: &[u8], piece: usize) -> (Vec<Frame>, Shared<()>) {
    let mut frames = Vec::new();
    let mut take = |decoder: &mut Decoder<Given>| -> Shared<()> {
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
        Ok(())
    };
    let mut run = || -> Shared<()> {
        for piece in stream.chunks(piece) {
            decoder.feed(piece).unwrap();
            take(decoder)?;
        }
        decoder.close();
        take(decoder)
    };
    let result = run();
    (frames, result)
}

fn samples(frame: Frame) -> yuv::Frame {
    match frame.picture {
        Samples::Bytes(picture) => yuv::Frame::Bits8(picture.into_samples()),
        Samples::Words(picture) => yuv::Frame::Bits16(picture.into_samples()),
    }
}

#[test]
fn goldens_decode_to_their_pictures() {
    let model = model();
    for name in ["eight", "ten"] {
        let stream = bytes(&format!("{name}.ui2c"));
        for (threads, piece) in [(1, stream.len()), (2, 100)] {
            let given = Given(Arc::clone(&model), threads);
            let mut decoder = Decoder::new(given, Options::default());
            let (frames, result) = decode(&mut decoder, &stream, piece);
            result.unwrap();
            assert!(frames.iter().zip(0..).all(|(frame, number)| frame.number == number));
            let file = File::open(golden(&format!("{name}.y4m"))).unwrap();
            let mut pictures = Reader::y4m_file(file, vec![]).unwrap();
            for frame in frames {
                assert!(pictures.read().unwrap() == Some(samples(frame)), "{name}");
            }
            assert!(pictures.read().unwrap().is_none(), "{name}");
            assert!(decoder.lost().is_empty() && decoder.damage().is_none());
        }
    }
}

#[test]
fn every_loop_decodes_the_same() {
    let (file, stream) = (bytes("nano.safetensors"), bytes("eight.ui2c"));
    let all = |loops| {
        let model = Arc::new(Model::new(&file, loops).unwrap());
        let mut decoder = Decoder::new(Given(model, 1), Options::default());
        let (frames, result) = decode(&mut decoder, &stream, stream.len());
        result.unwrap();
        frames
    };
    let plain = all(Loops::SCALAR);
    for loops in Loops::available() {
        assert!(all(loops) == plain, "{loops}");
    }
}

/// Damage of many kinds: an error or, skipping, right frames and a report of the others.
#[test]
fn damage_is_noticed_and_never_fatal() {
    let model = model();
    for name in ["eight", "ten"] {
        let whole = bytes(&format!("{name}.ui2c"));
        let all = {
            let mut decoder = Decoder::new(Given(Arc::clone(&model), 1), Options::default());
            decode(&mut decoder, &whole, whole.len()).0
        };
        let check = |damaged: &[u8]| {
            let options = Options::default();
            let mut decoder = Decoder::new(Given(Arc::clone(&model), 1), options);
            let (frames, result) = decode(&mut decoder, damaged, damaged.len().max(1));
            assert!(frames == all[..frames.len()]);
            let error = result.expect_err("it is damaged");
            let again = decoder.next_frame().expect_err("an error stays");
            assert_eq!(again.to_string(), error.to_string());

            let options = Options { skip: true, ..options };
            let mut decoder = Decoder::new(Given(Arc::clone(&model), 1), options);
            let (frames, result) = decode(&mut decoder, damaged, 500);
            assert!(decoder.damage().is_some());
            if result.is_err() {
                return;
            }
            let is_lost = |number: u64| {
                decoder
                    .lost()
                    .iter()
                    .any(|&(first, last)| number >= first && last.is_none_or(|last| number <= last))
            };
            let left: Vec<&Frame> = all.iter().filter(|frame| !is_lost(frame.number)).collect();
            let numbers = |frame: &&Frame| frame.number;
            assert_eq!(
                frames.iter().map(|frame| frame.number).collect::<Vec<_>>(),
                left.iter().map(numbers).collect::<Vec<_>>()
            );
            assert!(frames.iter().zip(left).all(|(a, b)| a.picture == b.picture));
        };
        for position in (0..whole.len()).step_by(7) {
            // A flipped bit of the version may make it another one, which is no damage.
            let mut damaged = whole.clone();
            damaged[position] ^= 1 << (position % 8);
            check(&damaged);
        }
        let index = whole.len() - index_bytes(&whole);
        for length in (0..whole.len()).step_by(13).filter(|&length| length != index) {
            check(&whole[..length]);
        }
    }
}

/// Bytes of the index at the end.
fn index_bytes(stream: &[u8]) -> usize {
    let at = stream.len() - 8;
    u32::from_le_bytes(stream[at..at + 4].try_into().unwrap()) as usize
}

/// Right checksums around flipped bits: the networks meet what no encoder writes.
#[test]
fn any_contents_of_units_end_in_frames_or_errors() {
    let model = model();
    for name in ["eight", "ten"] {
        let (header, units) = units(&bytes(&format!("{name}.ui2c")));
        for (number, unit) in units.iter().enumerate() {
            for position in (0..8 * unit.stream.len()).step_by(29) {
                let mut writer = Writer::new(header.clone()).unwrap();
                let mut stream = writer.start().unwrap();
                for (other, unit) in units.iter().enumerate() {
                    let mut unit = unit.clone();
                    if other == number {
                        unit.stream[position / 8] ^= 1 << (position % 8);
                    }
                    stream.extend(writer.unit(&unit, false).unwrap());
                }
                stream.extend(writer.end(None).unwrap());
                let options = Options { verify: false, ..Options::default() };
                let mut decoder = Decoder::new(Given(Arc::clone(&model), 1), options);
                let (_, result) = decode(&mut decoder, &stream, stream.len());
                if let Err(error) = result {
                    let expected =
                        matches!(*error, Error::Corrupt { .. } | Error::Undecodable { .. });
                    assert!(expected, "{error}");
                }
            }
        }
    }
}

fn units(stream: &[u8]) -> (SequenceHeader, Vec<CodedUnit>) {
    let mut parser = Parser::new(Limits::default());
    parser.feed(stream).unwrap();
    let (mut header, mut units) = (None, Vec::new());
    while let Some(unit) = parser.next_unit().unwrap() {
        match unit.content {
            Content::Sequence(first) => header = Some(first),
            Content::Coded { unit, .. } => units.push(unit),
            _ => {}
        }
    }
    (header.unwrap(), units)
}

#[test]
fn another_state_is_a_mismatch() {
    let (header, mut units) = units(&bytes("eight.ui2c"));
    let hash = units[0].feature_hash.expect("the first unit tells it");
    units[0].feature_hash = Some(hash ^ 1);
    let mut writer = Writer::new(header).unwrap();
    let stream = [writer.start().unwrap(), writer.unit(&units[0], false).unwrap()].concat();
    for skip in [false, true] {
        let options = Options { skip, ..Options::default() };
        let mut decoder = Decoder::new(Given(model(), 1), options);
        let (frames, result) = decode(&mut decoder, &stream, stream.len());
        assert!(frames.is_empty());
        assert!(matches!(*result.unwrap_err(), Error::Mismatch { .. }));
    }
}

#[test]
fn limits_hold_before_anything_is_made() {
    let stream = bytes("eight.ui2c");
    let limits = Limits { max_memory: 1 << 20, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let mut decoder = Decoder::new(Given(model(), 1), options);
    let (_, result) = decode(&mut decoder, &stream, stream.len());
    let error = result.unwrap_err();
    assert!(matches!(*error, Error::Limit { .. }), "{error}");
}

/// The largest picture that a header can name, whose work space no address of 32 bits counts.
#[test]
fn the_largest_picture_takes_more_than_is_wanted() {
    let (header, _) = units(&bytes("eight.ui2c"));
    let header = SequenceHeader { width: 65_535, height: 65_535, ..header };
    let stream = Writer::new(header).unwrap().start().unwrap();
    // The pictures alone fit.
    let limits = Limits { max_pixels: u64::MAX, max_memory: 64 << 30, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let mut decoder = Decoder::new(Given(model(), 1), options);
    let (_, result) = decode(&mut decoder, &stream, stream.len());
    let error = result.unwrap_err().to_string();
    assert!(error.contains("to decode, at most 68719476736 are wanted"), "{error}");
}

#[test]
fn a_damaged_model_file_is_refused() {
    let whole = bytes("nano.safetensors");
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for position in (0..length + 8).step_by(211).chain((length + 8..whole.len()).step_by(9973)) {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x10;
        assert!(Model::new(&damaged, Loops::SCALAR).is_err(), "{position}");
        assert!(Model::new(&whole[..position], Loops::SCALAR).is_err(), "{position}");
    }
}
