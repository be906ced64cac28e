//! One unit at a time: a coded unit to pictures.

mod decoder;
mod geometry;
mod motion;
mod picture;
mod syntax;

pub use decoder::UnitDecoder;
pub use geometry::Geometry;
pub use picture::{Picture, Samples};
