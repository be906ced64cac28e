//! The text in y4m files.

use super::Format;
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

/// The format in a file's first line, without its end.
pub(super) fn parse_header(line: &[u8]) -> Result<Format> {
    let corrupt = |what: String| Error::corrupt(0, what);
    let not_y4m = || corrupt("not a y4m file".into());
    let line = std::str::from_utf8(line).map_err(|_| not_y4m())?;
    let mut tags = line.split(' ');
    if tags.next() != Some(SIGNATURE) {
        return Err(not_y4m());
    }
    // Zero stands for a size that has not been given.
    let mut format = Format::new(0, 0, 8);
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
            Some('C') => format.bit_depth = bit_depth(value, tag)?,
            Some('X') => match value {
                "COLORRANGE=LIMITED" => format.full_range = Some(false),
                "COLORRANGE=FULL" => format.full_range = Some(true),
                _ => {}
            },
            _ => {}
        }
    }
    format.check().map_err(|error| corrupt(format!("y4m header: {error}")))?;
    Ok(format)
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
    let (rate, aspect) = (format.frame_rate, format.sample_aspect);
    format!(
        "{SIGNATURE} W{} H{} F{}:{} Ip A{}:{} C{chroma}{range}\n",
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

fn bit_depth(chroma: &str, tag: &str) -> Result<u8> {
    let deep = chroma.strip_prefix(CHROMA_DEEP).and_then(|depth| depth.parse().ok());
    match deep {
        Some(depth @ 9..=16) => Ok(depth),
        _ if CHROMA_8.contains(&chroma) => Ok(8),
        _ => Err(Error::Unsupported { what: format!("y4m chroma format, tag {tag:?}") }),
    }
}
