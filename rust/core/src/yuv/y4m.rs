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
const SITINGS: [&str; 4] = ["420", "420jpeg", "420mpeg2", "420paldv"];
/// Formats of 8 bits; with a depth, after p if the name is a number, they have that many.
const FORMATS: [(&str, Chroma); 4] = [
    ("420", Chroma::Half),
    ("422", Chroma::HalfColumns),
    ("444", Chroma::Full),
    ("mono", Chroma::None),
];
/// Formats that come with 8 bits only.
const FORMATS_8: [(&str, Chroma); 2] =
    [("411", Chroma::QuarterColumns), ("444alpha", Chroma::FullAlpha)];

/// Before the format's name in capitals, where there may be no tag C: files of mjpegtools.
const OLD_SAMPLES: &str = "YSCSS=";
/// Before CICP primaries, transfer and matrix with colons between them.
const COLOR: &str = "CICP=";

/// The format in a file's first line, without its end.
pub(super) fn parse_header(line: &[u8]) -> Result<(Format, Chroma)> {
    let corrupt = |what: String| Error::corrupt(0, what);
    let mut tags = line.split(|&byte| byte == b' ');
    if tags.next() != Some(SIGNATURE.as_bytes()) {
        return Err(corrupt("not a y4m file".into()));
    }
    // Zero stands for a size that has not been given.
    let mut format = Format::new(0, 0, 8);
    let (mut named, mut named_of_old) = (None, None);
    for tag in tags {
        // Comments may be in any encoding: only what is understood must be ASCII.
        let tag = &String::from_utf8_lossy(tag);
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
                let what = format!(
                    "interlaced y4m, tag {tag:?} (deinterlace it first, such as by ffmpeg -i IN \
                     -vf bwdif OUT.y4m)"
                );
                return Err(Error::Unsupported { what });
            }
            Some('C') => named = Some(samples(value, tag)?),
            Some('X') => match value {
                "COLORRANGE=LIMITED" => format.full_range = Some(false),
                "COLORRANGE=FULL" => format.full_range = Some(true),
                _ => match value.strip_prefix(OLD_SAMPLES) {
                    Some(name) => named_of_old = Some(samples(&name.to_lowercase(), tag)),
                    // Not everybody's tag, but y4m has none for this: what it means is optional.
                    None => format.color = color(value).unwrap_or(format.color),
                },
            },
            _ => {}
        }
    }
    // Where both are there, C is the one that is meant.
    let samples = match (named, named_of_old) {
        (Some(samples), _) => samples,
        (None, Some(samples)) => samples?,
        (None, None) => (8, Chroma::Half),
    };
    let chroma = samples.1;
    format.bit_depth = samples.0;
    format.check().map_err(|error| corrupt(format!("y4m header: {error}")))?;
    Ok((format, chroma))
}

/// The first line of a file, with its end.
pub(super) fn header(format: &Format) -> String {
    let chroma = match format.bit_depth {
        8 => "420jpeg".into(),
        depth => format!("420p{depth}"),
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

/// None if it is no fraction, `Some(None)` where a part is 0, which stands for unknown.
///
/// Parts may have decimals, as some write 29.97:1.
fn fraction(text: &str) -> Option<Option<(u32, u32)>> {
    let (numerator, denominator) = text.split_once(':')?;
    let ((a, a_scale), (b, b_scale)) = (decimal(numerator)?, decimal(denominator)?);
    if a == 0 || b == 0 {
        return Some(None);
    }
    let (numerator, denominator) = (a * b_scale, b * a_scale);
    let divisor = if a_scale == b_scale { a_scale } else { gcd(numerator, denominator) };
    let part = |value: u128| u32::try_from(value / divisor).ok();
    Some(Some((part(numerator)?, part(denominator)?)))
}

/// A number as a whole one and the power of ten that it is to be divided by.
fn decimal(text: &str) -> Option<(u128, u128)> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let whole = u128::from(whole.parse::<u32>().ok()?);
    if decimals.is_empty() {
        return Some((whole, 1));
    }
    // More of them than 32 bits can hold are nothing that anybody writes.
    if decimals.len() > 9 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scale = 10u128.pow(decimals.len() as u32);
    Some((whole * scale + decimals.parse::<u128>().ok()?, scale))
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// CICP code points; None if it is something else.
fn color(text: &str) -> Option<(u8, u8, u8)> {
    let mut codes = text.strip_prefix(COLOR)?.split(':').map(|code| code.parse().ok());
    let color = (codes.next()??, codes.next()??, codes.next()??);
    codes.next().is_none().then_some(color)
}

/// Bit depth and chroma format.
fn samples(name: &str, tag: &str) -> Result<(u8, Chroma)> {
    if SITINGS.contains(&name) {
        return Ok((8, Chroma::Half));
    }
    if let Some(&(_, chroma)) = FORMATS_8.iter().find(|(known, _)| *known == name) {
        return Ok((8, chroma));
    }
    for (known, chroma) in FORMATS {
        let Some(depth) = name.strip_prefix(known) else { continue };
        if depth.is_empty() {
            return Ok((8, chroma));
        }
        let depth = if chroma == Chroma::None { Some(depth) } else { depth.strip_prefix('p') };
        if let Some(depth @ 8..=16) = depth.and_then(|depth| depth.parse().ok()) {
            return Ok((depth, chroma));
        }
    }
    Err(Error::Unsupported { what: format!("y4m chroma format, tag {tag:?}") })
}
