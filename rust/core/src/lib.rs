//! The native core of ui2c: entropy coder, bitstream, motion, networks, decoder and YUV files.
//!
//! Nothing here knows of Python. `docs/bitstream.md` is the specification of
//! what this crate reads and writes.

pub mod bitstream;
pub mod cpu;
pub mod decoder;
pub mod error;
pub mod model;
pub mod motion;
pub mod network;
pub mod postfilter;
pub mod rans;
pub mod threads;
pub mod unit;
pub mod yuv;

pub use error::{Error, Result, Severity};
