//! Writes the first seeds of the fuzzers to `fuzz/seeds`: valid streams of several kinds.

use std::fs;
use std::path::Path;

use ui2c_core::bitstream::{CodedUnit, SequenceHeader, Writer};
use ui2c_core::rans::{Encoder, Tables};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let save = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder.join(target))?;
        fs::write(folder.join(target).join(name), bytes)
    };
    let stream = stream()?;
    save("parser", "stream-whole", &[&[0xfe], &stream[..]].concat())?;
    save("parser", "stream-in-pieces", &[&[8], &stream[..]].concat())?;
    save("parser", "units", &framed(&stream))?;
    let tables = Tables::new(&[500, 3000, 500, 96], &[4], 0)?;
    for log2_lanes in 0..=6 {
        let symbols: Vec<i16> = (0..1000).map(|i| [0, 0, 1, 0, -1, 0, 9, 0][i % 8]).collect();
        let mut encoder = Encoder::new();
        encoder.put_slice(&tables, &[0; 1000], &symbols)?;
        let (_, coded) = encoder.finish(Some(log2_lanes))?;
        let seed = [&[log2_lanes, 0x31, 200], &coded[..]].concat();
        save("coder", &format!("lanes-{}", 1 << log2_lanes), &seed)?;
    }
    let header = "YUV4MPEG2 W3 H2 F25:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n";
    let frame = [b"FRAME\n", &[7; 10][..]].concat();
    save("y4m", "two-frames", &[header.as_bytes(), &frame, &frame].concat())?;
    let header = "YUV4MPEG2 W2 H2 F30000:1001 Ip A1:1 C420p10\n";
    let frame = [b"FRAME Ip\n", &[1; 12][..]].concat();
    save("y4m", "ten-bits", &[header.as_bytes(), &frame].concat())?;
    Ok(())
}

/// Every kind of unit and of flag.
fn stream() -> ui2c_core::Result<Vec<u8>> {
    let header = SequenceHeader {
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
    };
    let mut writer = Writer::new(header)?;
    let mut bytes = writer.start()?;
    bytes.extend(writer.metadata("title", "small")?);
    for i in 0..8u8 {
        let intra = i % 4 == 0;
        let unit = CodedUnit {
            intra,
            qp: 10 + i,
            motion_step: if intra { 0 } else { 32 },
            log2_lanes: 0,
            shown: if i == 7 { 1 } else { 2 },
            feature_hash: (i == 3).then_some(0x0123_4567),
            ticks: (i == 5).then(|| vec![1, 300]),
            stream: vec![i; 5],
        };
        bytes.extend(writer.unit(&unit, i == 4)?);
    }
    bytes.extend(writer.end(Some(7))?);
    Ok(bytes)
}

/// The units of a stream without checksums and sync words, for the target that makes them anew.
fn framed(stream: &[u8]) -> Vec<u8> {
    let mut rest = &stream[10..];
    let mut bytes = vec![1];
    while let [kind, length, ..] = *rest {
        if kind == 0x7f {
            rest = &rest[4..];
            continue;
        }
        let size = 2 + usize::from(length);
        bytes.extend(&rest[..size]);
        rest = &rest[size + 4..];
    }
    bytes
}
