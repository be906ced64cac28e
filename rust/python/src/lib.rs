//! Thin Python binding: check arguments, release the GIL, call the core, map errors.

use pyo3::prelude::*;

mod arguments;
mod arrays;
mod blocks;
mod coder;
mod decoder;
mod errors;
mod motion;
mod network;
mod postfilter;
mod stream;
mod threads;
mod units;
mod video;

#[pymodule(gil_used = false)]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::register(m)?;
    coder::register(m)?;
    units::register(m)?;
    stream::register(m)?;
    blocks::register(m)?;
    motion::register(m)?;
    postfilter::register(m)?;
    network::register(m)?;
    decoder::register(m)?;
    video::register(m)?;
    m.add("__version__", env!("CARGO_PKG_VERSION"))
}
