//! Uncompressed video files: round trips at any size and depth, and bad files.

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::PathBuf;

use proptest::prelude::*;
use ui2c_core::Error;
use ui2c_core::yuv::{Format, Frame, FrameRef, Reader, Writer};

/// A path of its own for each test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("ui2c-yuv-{}-{name}", std::process::id())))
    }

    fn create(&self) -> File {
        File::create(&self.0).unwrap()
    }

    fn open(&self) -> File {
        File::open(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn formats() -> impl Strategy<Value = Format> {
    let fraction = || (1..=u32::MAX, 1..=u32::MAX);
    let depth = 8..=16u8;
    let other = (any::<Option<bool>>(), any::<(u8, u8, u8)>());
    (1..20u32, 1..20u32, depth, fraction(), fraction(), other).prop_map(
        |(width, height, bit_depth, frame_rate, sample_aspect, (full_range, color))| Format {
            width,
            height,
            bit_depth,
            frame_rate,
            sample_aspect,
            full_range,
            color,
        },
    )
}

/// Samples that depend on plane, place and frame and reach the largest.
fn frame(format: &Format, number: usize) -> Frame {
    let sizes = format.planes().map(|(height, width)| height * width);
    let max = u16::MAX >> (16 - format.bit_depth);
    let sample = |plane: usize, i: usize| max - ((plane * 5 + i * 3 + number * 7) as u16 & max);
    if format.bit_depth == 8 {
        let plane = |p: usize| (0..sizes[p]).map(|i| sample(p, i) as u8).collect();
        Frame::Bits8([plane(0), plane(1), plane(2)])
    } else {
        let plane = |p: usize| (0..sizes[p]).map(|i| sample(p, i)).collect();
        Frame::Bits16([plane(0), plane(1), plane(2)])
    }
}

fn read_all(mut reader: Reader) -> Result<Vec<Frame>, Error> {
    std::iter::from_fn(|| reader.read().transpose()).collect()
}

fn y4m(bytes: &[u8]) -> Result<Reader, Error> {
    Reader::from_y4m(Box::new(Cursor::new(bytes.to_vec())))
}

fn yuv(bytes: &[u8], format: Format) -> Reader {
    Reader::from_yuv(Box::new(Cursor::new(bytes.to_vec())), format).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn round_trip(format in formats(), count in 0usize..4) {
        let scratch = Scratch::new("round-trip");
        let frames: Vec<Frame> = (0..count).map(|i| frame(&format, i)).collect();
        let mut writer = Writer::y4m(scratch.create(), format).unwrap();
        frames.iter().for_each(|frame| writer.write(frame.as_ref()).unwrap());
        writer.close().unwrap();
        let reader = Reader::y4m_file(scratch.open(), vec![]).unwrap();
        prop_assert_eq!(reader.format(), &format);
        prop_assert_eq!(&read_all(reader).unwrap(), &frames);

        let mut writer = Writer::yuv(scratch.create(), format).unwrap();
        frames.iter().for_each(|frame| writer.write(frame.as_ref()).unwrap());
        writer.close().unwrap();
        let reader = Reader::yuv_file(scratch.open(), vec![], format).unwrap();
        prop_assert_eq!(&read_all(reader).unwrap(), &frames);
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), tags in ".{0,60}") {
        prop_assert!(y4m(&bytes).is_err());
        let header = format!("YUV4MPEG2 W3 H2 {tags}\n");
        if let Ok(reader) = y4m(&[header.as_bytes(), &bytes].concat()) {
            let _ = read_all(reader);
        }
    }
}

#[test]
fn headers_of_other_programs_are_read() {
    let format = |header: &str| *y4m(format!("YUV4MPEG2 {header}\n").as_bytes()).unwrap().format();
    let plain = Format::new(352, 288, 8);
    assert_eq!(format("W352 H288"), plain);
    assert_eq!(format("H288 W352 C420"), plain);
    assert_eq!(format("W352 H288 F0:0 I? A0:0 C420mpeg2 XYSCSS=420MPEG2"), plain);
    assert_eq!(format("W352 H288 Ip C420paldv Zeta"), plain);
    assert_eq!(
        format("W352 H288 F30000:1001 Ip A128:117 C420p10 XYSCSS=420P10 XCOLORRANGE=FULL"),
        Format {
            bit_depth: 10,
            frame_rate: (30000, 1001),
            sample_aspect: (128, 117),
            full_range: Some(true),
            ..plain
        }
    );
    for depth in [9, 12, 14, 16] {
        assert_eq!(format(&format!("W352 H288 C420p{depth}")).bit_depth, depth);
    }
    assert_eq!(format("W352 H288 XCOLORRANGE=LIMITED").full_range, Some(false));
    assert_eq!(format("W352 H288 XCOLORRANGE=ODD").full_range, None);
    assert_eq!(format("W352 H288 XCICP=9:16:9").color, (9, 16, 9));
    for odd in ["9:16", "9:16:9:1", "9:16:256", "a:b:c", ""] {
        assert_eq!(format(&format!("W352 H288 XCICP={odd}")).color, (2, 2, 2));
    }
}

#[test]
fn what_cannot_become_420_is_refused_by_name() {
    for tag in
        ["C410", "C444alphap10", "Cmon", "Cmonop10", "C420p17", "C", "XYSCSS=410", "It", "Im"]
    {
        match y4m(format!("YUV4MPEG2 W16 H16 {tag}\n").as_bytes()) {
            Err(Error::Unsupported { what }) => assert!(what.contains(tag), "{what}"),
            other => panic!("{tag}: {:?}", other.err()),
        }
    }
}

#[test]
fn interlaced_files_are_refused_with_a_remedy() {
    match y4m(b"YUV4MPEG2 W16 H16 It\n") {
        Err(Error::Unsupported { what }) => assert!(what.contains("-vf bwdif"), "{what}"),
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn headers_as_others_write_them_are_read() {
    let reader = |header: &[u8]| y4m(&[b"YUV4MPEG2 W352 H288 ", header, b"\n"].concat()).unwrap();
    let format = |header: &str| *reader(header.as_bytes()).format();
    let plain = Format::new(352, 288, 8);
    // A carriage return, and a comment in Latin-1.
    assert_eq!(format("Ip\r"), plain);
    assert_eq!(
        *reader(b"XCOMMENT=caf\xe9 F30:1").format(),
        Format { frame_rate: (30, 1), ..plain }
    );
    for unknown in ["F25:0", "F0:1", "F0:0", "A0:1", "A1:0"] {
        assert_eq!(format(unknown), plain, "{unknown}");
    }
    for (rate, fraction) in [
        ("29.97:1", (2997, 100)),
        ("23.976:1.000", (23976, 1000)),
        ("30000:1001", (30000, 1001)),
        ("50:2", (50, 2)),
        ("12.5:0.5", (125, 5)),
        ("4294967295:1", (4294967295, 1)),
    ] {
        assert_eq!(format(&format!("F{rate}")).frame_rate, fraction);
    }
    assert_eq!(format("A1.5:1").sample_aspect, (3, 2));
    for (name, depth, chroma) in [
        ("C420p8", 8, "4:2:0"),
        ("C422p8", 8, "4:2:2"),
        ("C444p8", 8, "4:4:4"),
        ("C411", 8, "4:1:1"),
        ("C444alpha", 8, "4:4:4 with alpha"),
        ("Cmono8", 8, "grey"),
        ("Cmono12", 12, "grey"),
        ("XYSCSS=420P10", 10, "4:2:0"),
        ("XYSCSS=420JPEG", 8, "4:2:0"),
        ("XYSCSS=422P12", 12, "4:2:2"),
        ("XYSCSS=411", 8, "4:1:1"),
        ("C420 XYSCSS=444P16", 8, "4:2:0"),
        ("XYSCSS=410 C422", 8, "4:2:2"),
    ] {
        let reader = reader(name.as_bytes());
        assert_eq!((reader.format().bit_depth, reader.chroma().name()), (depth, chroma), "{name}");
    }
}

#[test]
fn lines_may_end_as_on_other_systems() {
    let file = b"YUV4MPEG2 W2 H2\r\nFRAME\r\n123456FRAME Ip\r\nabcdef";
    let frames = read_all(y4m(file).unwrap()).unwrap();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[1], Frame::Bits8([b"abcd".to_vec(), b"e".to_vec(), b"f".to_vec()]));
}

/// The only frame of a 3 x 3 file.
fn three_by_three(tag: &str, samples: &[u16]) -> Frame {
    let deep = tag.ends_with("10");
    let mut bytes = format!("YUV4MPEG2 W3 H3 {tag}\nFRAME\n").into_bytes();
    for &sample in samples {
        bytes.extend(&sample.to_le_bytes()[..if deep { 2 } else { 1 }]);
    }
    let mut frames = read_all(y4m(&bytes).unwrap()).unwrap();
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

#[test]
fn other_chroma_formats_become_420() {
    let y = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    let pairs = [10, 20, 11, 21, 30, 40];
    let full = [10, 11, 20, 12, 14, 21, 30, 31, 40];
    // Means of two rows; the last row stands alone.
    let halved = [11, 21, 30, 40];
    assert_eq!(
        three_by_three("C422", &[&y[..], &pairs, &pairs].concat()),
        Frame::Bits8(
            [&y[..], &halved, &halved].map(|plane| plane.iter().map(|&s| s as u8).collect())
        )
    );
    // (10 + 11 + 12 + 14 + 2) / 4 is 12.25, (20 + 21 + 1) / 2 is 21, (30 + 31 + 1) / 2 is 31.
    let means = vec![12, 21, 31, 40];
    assert_eq!(
        three_by_three("C444p10", &[&y[..], &full, &full].concat()),
        Frame::Bits16([y.to_vec(), means.clone(), means])
    );
    assert_eq!(
        three_by_three("Cmono10", &y),
        Frame::Bits16([y.to_vec(), vec![512; 4], vec![512; 4]])
    );
    // Opacity, the last, is passed over.
    let alpha = [&y[..], &full, &full, &full].concat();
    let without = three_by_three("C444", &alpha[..27]);
    let (Frame::Bits8([_, u, _]), true) =
        (&without, without == three_by_three("C444alpha", &alpha))
    else {
        panic!("alpha changes the picture")
    };
    assert_eq!(u, &[12, 21, 31, 40]);
    // (3 (10 + 20) + (10 + 20) + 4) / 8 is 15.5, and the last row stands alone.
    let quarter = [10, 20, 30];
    let Frame::Bits8([_, u, _]) = three_by_three("C411", &[&y[..], &quarter, &quarter].concat())
    else {
        panic!("8 bits")
    };
    assert_eq!(u, [15, 15, 30, 30]);
    let Frame::Bits8([luma, u, v]) = three_by_three("Cmono", &y) else { panic!("8 bits") };
    assert_eq!((luma.len(), u, v), (9, vec![128; 4], vec![128; 4]));
}

#[test]
fn bad_headers_are_corrupt() {
    let long = format!("YUV4MPEG2 W16 H16 X{}\n", "x".repeat(5000));
    for header in [
        "YUV4MPEG W16 H16\n",
        "YUV4MPEG2\n",
        "YUV4MPEG2 W16\n",
        "YUV4MPEG2 W0 H16\n",
        "YUV4MPEG2 W16 H-1\n",
        "YUV4MPEG2 W16 H65536\n",
        "YUV4MPEG2 W99999999999 H16\n",
        "YUV4MPEG2 W16 H16 F25\n",
        "YUV4MPEG2 W16 H16 F25:-1\n",
        "YUV4MPEG2 W16 H16 F25.:x\n",
        "YUV4MPEG2 W16 H16 F4294967296:1\n",
        "YUV4MPEG2 W16 H16 F4294967295.5:1\n",
        "YUV4MPEG2 W16 H16 F1.0000000001:1\n",
        "YUV4MPEG2 W16 H16 A1.5\n",
        long.as_str(),
    ] {
        let error = y4m(header.as_bytes()).err();
        assert!(matches!(error, Some(Error::Corrupt { .. })), "{header}: {error:?}");
    }
    for header in ["", "YUV4MPEG2 W16 H16"] {
        let error = y4m(header.as_bytes()).err();
        assert!(matches!(error, Some(Error::Truncated { .. })), "{header}: {error:?}");
    }
}

#[test]
fn incomplete_frames_are_named() {
    let format = Format::new(3, 3, 8);
    let size = 9 + 4 + 4;
    let header = b"YUV4MPEG2 W3 H3\n";
    let one = [&b"FRAME Ip\n"[..], &vec![1; size]].concat();
    let file = [&header[..], &one, &one].concat();
    for length in header.len()..file.len() {
        let (count, left) =
            ((length - header.len()) / one.len(), (length - header.len()) % one.len());
        match read_all(y4m(&file[..length]).unwrap()) {
            Ok(frames) => assert_eq!((frames.len(), left), (count, 0)),
            Err(Error::Truncated { offset, what }) => {
                assert!(what.contains(&format!("frame {count} ")), "{what}");
                assert_eq!(offset, length as u64);
            }
            Err(other) => panic!("{length}: {other}"),
        }
    }
    assert_eq!(read_all(yuv(&vec![1; 2 * size], format)).unwrap().len(), 2);
    assert!(matches!(
        read_all(yuv(&vec![1; 2 * size + 1], format)),
        Err(Error::Truncated { what, .. }) if what.contains("frame 2 ")
    ));
}

#[test]
fn frames_must_begin_with_their_word() {
    for word in ["FRAMES\n", "frame\n", "\n", "YUV4MPEG2 W2 H2\n"] {
        let file = format!("YUV4MPEG2 W2 H2\n{word}123456");
        assert!(matches!(
            read_all(y4m(file.as_bytes()).unwrap()),
            Err(Error::Corrupt { offset: 16, .. })
        ));
    }
}

#[test]
fn samples_beyond_the_depth_are_corrupt() {
    let format = Format::new(2, 2, 10);
    let words: Vec<u8> = [1023u16, 0, 0, 0, 0, 1024].iter().flat_map(|w| w.to_le_bytes()).collect();
    match read_all(yuv(&words, format)) {
        Err(Error::Corrupt { offset: 10, what }) => assert!(what.contains("1024"), "{what}"),
        other => panic!("{other:?}"),
    }
    assert!(read_all(yuv(&words, Format::new(2, 2, 11))).is_ok());
}

#[test]
fn what_is_written_before_an_end_is_in_the_file() {
    let scratch = Scratch::new("whole");
    let format = Format::new(2, 2, 8);
    let mut writer = Writer::y4m(scratch.create(), format).unwrap();
    writer.write(frame(&format, 0).as_ref()).unwrap();
    let one = fs::read(&scratch.0).unwrap();
    assert_eq!(read_all(y4m(&one).unwrap()).unwrap(), [frame(&format, 0)], "whoever reads a pipe");
    writer.close().unwrap();
    writer.close().unwrap();
    assert_eq!(fs::read(&scratch.0).unwrap(), one);
    assert!(matches!(writer.write(frame(&format, 0).as_ref()), Err(Error::InvalidArgument { .. })));
    let mut writer = Writer::y4m(scratch.create(), format).unwrap();
    writer.close().unwrap();
    assert_eq!(
        fs::read(&scratch.0).unwrap(),
        b"YUV4MPEG2 W2 H2 F25:1 Ip A1:1 C420jpeg\n",
        "no frames"
    );
}

#[test]
fn what_has_been_read_of_a_file_comes_first() {
    let scratch = Scratch::new("begun");
    let format = Format::new(5, 3, 10);
    let frames: Vec<Frame> = (0..3).map(|number| frame(&format, number)).collect();
    let mut writer = Writer::y4m(scratch.create(), format).unwrap();
    frames.iter().for_each(|frame| writer.write(frame.as_ref()).unwrap());
    writer.close().unwrap();
    for count in [0, 1, 10, 100] {
        let mut file = scratch.open();
        let mut begun = vec![0; count];
        file.read_exact(&mut begun).unwrap();
        let mut reader = Reader::y4m_file(file, begun).unwrap();
        assert_eq!(reader.skip(1).unwrap(), 1);
        assert_eq!(read_all(reader).unwrap(), frames[1..]);
    }
}

#[test]
fn frames_must_be_of_the_format() {
    let scratch = Scratch::new("format");
    let mut writer = Writer::yuv(scratch.create(), Format::new(3, 3, 10)).unwrap();
    let mut refused = |frame: FrameRef| match writer.write(frame) {
        Err(Error::InvalidArgument { what }) => assert!(what.starts_with("frame"), "{what}"),
        other => panic!("{other:?}"),
    };
    refused(FrameRef::Bits8([&[0; 9], &[0; 4], &[0; 4]]));
    refused(FrameRef::Bits16([&[0; 9], &[0; 4], &[0; 3]]));
    refused(FrameRef::Bits16([&[0; 10], &[0; 4], &[0; 4]]));
    refused(FrameRef::Bits16([&[0; 9], &[0; 4], &[0, 0, 0, 1024]]));
    writer.write(FrameRef::Bits16([&[1023; 9], &[0; 4], &[0; 4]])).unwrap();
}

#[test]
fn formats_are_checked() {
    let plain = Format::new(16, 16, 8);
    for (format, name) in [
        (Format { width: 0, ..plain }, "width"),
        (Format { height: 65536, ..plain }, "height"),
        (Format { bit_depth: 7, ..plain }, "bit_depth"),
        (Format { bit_depth: 17, ..plain }, "bit_depth"),
        (Format { frame_rate: (0, 1), ..plain }, "frame_rate"),
        (Format { sample_aspect: (1, 0), ..plain }, "sample_aspect"),
    ] {
        let scratch = Scratch::new("never");
        for error in [
            Writer::y4m(scratch.create(), format).err(),
            Reader::from_yuv(Box::new(Cursor::new(vec![])), format).err(),
        ] {
            match error {
                Some(Error::InvalidArgument { what }) => assert!(what.contains(name), "{what}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

#[test]
fn skipping_is_reading_and_forgetting() {
    let scratch = Scratch::new("skip");
    for bit_depth in [8, 10] {
        let format = Format::new(5, 3, bit_depth);
        let frames: Vec<Frame> = (0..4).map(|number| frame(&format, number)).collect();
        let mut writer = Writer::y4m(scratch.create(), format).unwrap();
        for frame in &frames {
            writer.write(frame.as_ref()).unwrap();
        }
        writer.close().unwrap();
        let bytes = fs::read(&scratch.0).unwrap();
        for skipped in 0..6 {
            let mut readers =
                [Reader::y4m_file(scratch.open(), vec![]).unwrap(), y4m(&bytes).unwrap()];
            for reader in &mut readers {
                assert_eq!(reader.skip(skipped).unwrap(), skipped.min(4));
            }
            for reader in readers {
                let rest = frames.get(skipped as usize..).unwrap_or_default();
                assert_eq!(read_all(reader).unwrap(), rest);
            }
        }
        fs::write(&scratch.0, &bytes[..bytes.len() - 1]).unwrap();
        assert!(matches!(
            Reader::y4m_file(scratch.open(), vec![]).unwrap().skip(4),
            Err(Error::Truncated { .. })
        ));
    }
}
