//! Uncompressed video files: y4m and raw planar 4:2:0, 8 to 16 bits, any size; y4m also with
//! other chroma formats, which become 4:2:0.

mod chroma;
mod file;
mod format;
mod input;
mod reader;
mod writer;
mod y4m;

pub use chroma::Chroma;
pub use format::Format;
pub use reader::Reader;
pub use writer::Writer;

/// The planes Y, U and V of one picture, each row by row; see [`Format::planes`] for their sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// At 8 bits.
    Bits8([Vec<u8>; 3]),
    /// At 9 to 16 bits.
    Bits16([Vec<u16>; 3]),
}

/// As [`Frame`], borrowed.
#[derive(Clone, Copy, Debug)]
pub enum FrameRef<'a> {
    Bits8([&'a [u8]; 3]),
    Bits16([&'a [u16]; 3]),
}

impl Frame {
    pub fn as_ref(&self) -> FrameRef<'_> {
        match self {
            Self::Bits8(planes) => FrameRef::Bits8(planes.each_ref().map(Vec::as_slice)),
            Self::Bits16(planes) => FrameRef::Bits16(planes.each_ref().map(Vec::as_slice)),
        }
    }
}
