//! A whole stream: bytes in, frames out, in bounded memory.
//!
//! What runs the networks stands behind [`Engines`] and [`UnitDecoder`]: usually [`Native`], and
//! whatever a caller brings.

mod engine;
mod frames;
mod work_space;

pub use engine::{Engine, Engines, Native, UnitDecoder};
pub use frames::{Decoder, Frame, Lost, Options, Shared};
