//! The container: a stream of checksummed units that can be written to a pipe, cut off, damaged
//! and joined midway, and always ends in units or in a typed error.
//!
//! `docs/bitstream.md` defines every byte.

mod crc;
mod fields;
mod frame;
mod header;
mod limits;
mod parser;
mod sequence;
mod unit;
mod writer;

pub use crc::crc32c;
pub use header::SequenceHeader;
pub use limits::Limits;
pub use parser::Parser;
pub use unit::{CodedUnit, Content, End, Entry, Unit, index_at_end};
pub use writer::Writer;

/// The first bytes of every stream; they do not survive a change of line ends or a loss of the
/// eighth bit.
pub const MAGIC: [u8; 8] = *b"\x8bUI2C\r\n\x1a";

/// Major and minor version of the format; they follow the magic.
pub const VERSION: [u8; 2] = [1, 0];

/// Stands before every random-access unit. Its first byte is no valid unit type.
pub const SYNC: [u8; 4] = *b"\x7f\xd3\x2c\x8b";

/// Coded units are numbered modulo this, so that a lost or swapped one is noticed.
const NUMBER_MODULUS: u8 = 32;
