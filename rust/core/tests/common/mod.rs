//! Ingredients of a small stream, and reading it whole.

use ui2c_core::Result;
use ui2c_core::bitstream::{CodedUnit, Limits, Parser, SequenceHeader, Unit};

pub fn header() -> SequenceHeader {
    SequenceHeader {
        width: 176,
        height: 144,
        bit_depth: 8,
        color_primaries: 1,
        transfer: 1,
        matrix: 1,
        full_range: false,
        timebase: (1, 25),
        frame_ticks: 1,
        sample_aspect: (1, 1),
        frames_per_unit: 2,
        model_id: *b"model 01",
    }
}

pub fn coded(intra: bool, qp: u8) -> CodedUnit {
    CodedUnit {
        intra,
        qp,
        motion_step: if intra { 0 } else { 32 },
        log2_lanes: 0,
        shown: 2,
        feature_hash: None,
        ticks: None,
        stream: vec![qp; 5],
    }
}

/// The units up to the end or the first error.
pub fn parse_all(bytes: &[u8], limits: Limits) -> (Vec<Unit>, Result<()>) {
    let mut parser = Parser::new(limits);
    parser.feed(bytes).unwrap();
    parser.close();
    let mut units = Vec::new();
    loop {
        match parser.next_unit() {
            Ok(Some(unit)) => units.push(unit),
            Ok(None) => return (units, Ok(())),
            Err(error) => return (units, Err(error)),
        }
    }
}
