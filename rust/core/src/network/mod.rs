//! The codec's networks on the integer profile `int8 1`.
//!
//! Pointwise layers multiply small integers, scaled anew at every position; all else is float32 in
//! single operations of a stated order. So every processor, at every level of its instructions and
//! with any number of threads, gives the same bits. `scalar` is the definition; the kernels are
//! written once for all instructions, over what `simd` has for each.

mod alignment;
mod config;
mod dispatch;
mod float;
mod kernels;
mod layers;
mod map;
mod model;
mod packing;
mod parameters;
mod scalar;
mod session;
mod simd;
mod stages;
mod tensors;
mod trial;

pub use config::{Config, FRAMES, QUALITIES, base_row};
pub use dispatch::Loops;
pub use layers::{BareProduct, BlockLayer, PointwiseLayer};
pub use model::Model;
pub use packing::Planes;
pub use parameters::{Block, CHANNEL_UNIT, Depthwise, LARGEST, Pointwise, Weights};
pub use session::{Session, State};
pub(crate) use tensors::Tensors;
