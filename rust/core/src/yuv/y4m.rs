//! The text in y4m files.

use super::format::UNSPECIFIED;
use super::{Chroma, Format};
use crate::{Error, Result};

/// Longest line with its end, in bytes.
pub(super) const MAX_LINE: usize = 4096;

const SIGNATURE: &str = "YUV4MPEG2";
/// Begins each frame.
pub(super) const FRAME: &str = "FRAME";

/// Kinds of 4:2:0 that differ in where chroma samples lie, which the codec does not mind.
const CHROMA_8: [&str; 4] = ["420", "420jpeg", "420mpeg2", "420paldv"];
/// Begins the name of 4:2:0 with more than 8 bits; the bit depth follows.
const CHROMA_DEEP: &str = "420p";
/// The same for other formats, whose names at 8 bits are these without the last letter, if it is p.
const OTHERS: [(&str, Chroma); 3] =
    [("422p", Chroma::HalfColumns), ("444p", Chroma::Full), ("mono", Chroma::None)];

/// Before CICP primaries, transfer and matrix with colons between them.
const COLOR: &str = "CICP=";

/// The format in a file's first line, without its end.
pub(super) fn parse_header(line: &[u8]) -> Result<(Format, Chroma)> {
    let corrupt = |what: String| Error::corrupt(0, what);
    let not_y4m = || corrupt("not a y4m file".into());
    let line = std::str::from_utf8(line).map_err(|_| not_y4m())?;
    let mut tags = line.split(' ');
    if tags.next() != Some(SIGNATURE) {
        return Err(not_y4m());
    }
    // Zero stands for a size that has not been given.
    let mut format = Format::new(0, 0, 8);
    let mut chroma = Chroma::Half;
    for tag in tags {
        let mut letters = tag.chars();
        let (letter, value) = (letters.next(), letters.as_str());
        let bad = || corrupt(format!("y4m tag {tag:?} makes no sense"));
        match letter {
            Some('W') => format.width = value.parse().map_err(|_| bad())?,
            Some('H') => format.height = value.parse().map_err(|_| bad())?,
            Some('F') => {
                format.frame_rate = fraction(value).ok_or_else(bad)?.unwrap_or(format.frame_rate);
            }
            Some('A') => format.sample_aspect = fraction(value).ok_or_else(bad)?.unwrap_or((1, 1)),
            Some('I') if !["p", "?"].contains(&value) => {
                return Err(Error::Unsupported { what: format!("interlaced y4m, tag {tag:?}") });
            }
            Some('C') => (format.bit_depth, chroma) = samples(value, tag)?,
            Some('X') => match value {
                "COLORRANGE=LIMITED" => format.full_range = Some(false),
                "COLORRANGE=FULL" => format.full_range = Some(true),
                // Not everybody's tag, but y4m has none for this: what it means is optional.
                _ => format.color = color(value).unwrap_or(format.color),
            },
            _ => {}
        }
    }
    format.check().map_err(|error| corrupt(format!("y4m header: {error}")))?;
    Ok((format, chroma))
}

/// The first line of a file, with its end.
pub(super) fn header(format: &Format) -> String {
    let chroma = match format.bit_depth {
        8 => "420jpeg".into(),
        depth => format!("{CHROMA_DEEP}{depth}"),
    };
    let range = match format.full_range {
        Some(true) => " XCOLORRANGE=FULL",
        Some(false) => " XCOLORRANGE=LIMITED",
        None => "",
    };
    let color = match format.color {
        UNSPECIFIED => String::new(),
        (primaries, transfer, matrix) => format!(" X{COLOR}{primaries}:{transfer}:{matrix}"),
    };
    let (rate, aspect) = (format.frame_rate, format.sample_aspect);
    format!(
        "{SIGNATURE} W{} H{} F{}:{} Ip A{}:{} C{chroma}{range}{color}\n",
        format.width, format.height, rate.0, rate.1, aspect.0, aspect.1
    )
}

/// Whether a line, without its end, begins a frame; parameters may follow.
pub(super) fn is_frame(line: &[u8]) -> bool {
    line.strip_prefix(FRAME.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b' ')
}

/// None if it is no fraction, `Some(None)` for 0:0, which stands for unknown.
fn fraction(text: &str) -> Option<Option<(u32, u32)>> {
    let (numerator, denominator) = text.split_once(':')?;
    match (numerator.parse().ok()?, denominator.parse().ok()?) {
        (0, 0) => Some(None),
        (0, _) | (_, 0) => None,
        fraction => Some(Some(fraction)),
    }
}

/// CICP code points; None if it is something else.
fn color(text: &str) -> Option<(u8, u8, u8)> {
    let mut codes = text.strip_prefix(COLOR)?.split(':').map(|code| code.parse().ok());
    let color = (codes.next()??, codes.next()??, codes.next()??);
    codes.next().is_none().then_some(color)
}

/// Bit depth and chroma format.
fn samples(name: &str, tag: &str) -> Result<(u8, Chroma)> {
    if CHROMA_8.contains(&name) {
        return Ok((8, Chroma::Half));
    }
    for (prefix, chroma) in [(CHROMA_DEEP, Chroma::Half)].into_iter().chain(OTHERS) {
        if chroma != Chroma::Half && name == prefix.trim_end_matches('p') {
            return Ok((8, chroma));
        }
        let depth = name.strip_prefix(prefix).and_then(|depth| depth.parse().ok());
        if let Some(depth @ 9..=16) = depth {
            return Ok((depth, chroma));
        }
    }
    Err(Error::Unsupported { what: format!("y4m chroma format, tag {tag:?}") })
}
