//! Interleaved rANS with a bypass run: the entropy coder of every unit.
//!
//! States are 32 bits wide and renormalise by 16-bit words; tables have 12 bits. Symbol k of a
//! segment is on lane k mod N, and all lanes share one word stream, read in symbol order. What no
//! table holds (escaped values, raw bits) lies in a run of bits that is read backwards from the
//! end of the stream. `docs/bitstream.md` defines every byte.

mod bypass;
mod decoder;
mod dispatch;
mod encoder;
mod kernels;
pub(crate) mod symmetric;
mod tables;

pub use decoder::Decoder;
pub use dispatch::{Loops, chosen_levels};
pub use encoder::Encoder;
pub use tables::{MAX_LENGTH, Tables};

use crate::cpu::Level;

/// The largest permitted log2 of the number of lanes.
pub const MAX_LOG2_LANES: u8 = 6;

const MAX_LANES: usize = 1 << MAX_LOG2_LANES;

/// The states of as many lanes as there are, in front.
type States = [u32; MAX_LANES];

/// Frequencies of a table sum to 2^12.
const TABLE_BITS: u32 = 12;
const TABLE_SIZE: usize = 1 << TABLE_BITS;

/// States lie in [2^16, 2^32); the encoder starts, and so the decoder ends, at the lower bound.
const LOWER_BOUND: u32 = 1 << 16;

const STATE_BYTES: usize = 4;
const WORD_BYTES: usize = 2;
