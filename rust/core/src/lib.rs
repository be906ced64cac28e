//! The native core of ui2c: entropy coder, bitstream, motion, networks and YUV files.
//!
//! Nothing here knows of Python. `docs/bitstream.md` is the specification of
//! what this crate reads and writes.

pub mod bitstream;
pub mod cpu;
pub mod error;
pub mod motion;
pub mod network;
pub mod postfilter;
pub mod rans;
pub mod yuv;

pub use error::{Error, Result};
